/** Git remotes over every transport and both versions of the protocol, with repositories that gachix and Git wrote. */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { createGitRemote, type GitRemoteOptions } from '../../src/ingest/remote/git-remote.ts'
import { startGitHttp } from '../support/git-http.ts'
import { run } from '../support/process.ts'
import { packagesIn, publishClosure } from '../support/published-closure.ts'
import { type SshdOptions, startSshd } from '../support/sshd.ts'
import { type RepositoryFixture, repositorySourceSuite } from './repository-source-suite.ts'

let root: string

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'gachix-remote-'))
  await publishClosure(join(root, 'origin'))
  // As Git copies and packs it, with deltas; nobody allowed it to leave out blobs.
  const copy = join(root, 'copy.git')
  await run('git', ['clone', '-q', '--mirror', `file://${join(root, 'origin')}`, copy])
  await run('git', ['-C', copy, 'repack', '-adfq', '--window=10', '--depth=50'])
})
after(() => rm(root, { recursive: true, force: true }))

interface Served {
  readonly options: GitRemoteOptions
  close?(): Promise<void>
}

type Serve = (gitDir: string) => Promise<Served>

/** What gachix wrote, which allows filters; or what Git copied, which does not. */
type Written = 'origin' | 'copy.git'

function remote(name: string, written: Written, selective: boolean, serve: Serve): void {
  repositorySourceSuite(name, async (): Promise<RepositoryFixture> => {
    const gitDir = join(root, written)
    const { options, close = async () => {} } = await serve(gitDir)
    const packages = await packagesIn(gitDir)
    return { source: createGitRemote(options), packages, gitDir, selective, close }
  })
}

function overSsh(sshdOptions: SshdOptions, scp = false): Serve {
  return async (gitDir) => {
    const sshd = await startSshd(sshdOptions)
    const { user, host, port, clientKey, program, close } = sshd
    const url = scp ? `${user}@${host}:${gitDir}` : `ssh://${user}@${host}:${port}${gitDir}`
    return { options: { url, identityFile: clientKey, sshProgram: program }, close }
  }
}

function overHttp(dropProtocol: boolean): Serve {
  return async (gitDir) => {
    const server = await startGitHttp({ root, dropProtocol })
    const close = async () => server[Symbol.asyncDispose]()
    return { options: { url: `${server.url}/${gitDir.slice(root.length + 1)}` }, close }
  }
}

const GIT_SHELL = 'ForceCommand git-shell -c "$SSH_ORIGINAL_COMMAND"'

remote('a path', 'origin', true, async (gitDir) => ({ options: { url: gitDir } }))
remote('a file URL', 'copy.git', true, async (gitDir) => {
  // Somewhere that has to be encoded and quoted.
  const odd = join(root, "it's $(a) #copy!")
  await cp(gitDir, odd, { recursive: true })
  return { options: { url: `file://${encodeURIComponent(odd).replaceAll('%2F', '/')}` } }
})
remote('SSH in version 2', 'origin', true, overSsh({ acceptEnv: ['GIT_PROTOCOL'] }))
remote('SSH that drops the version', 'copy.git', false, overSsh({}))
remote('SSH with git-shell in version 0', 'origin', true, overSsh({ config: [GIT_SHELL] }))
remote('HTTP in version 2', 'origin', true, overHttp(false))
remote('HTTP in version 0', 'copy.git', false, overHttp(true))
