import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { createBuilderSource } from '../../src/ingest/builder/source.ts'
import { unixSocket } from '../../src/ingest/daemon/connect.ts'
import { DaemonSource } from '../../src/ingest/daemon/source.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { NixStore } from '../support/nix.ts'
import { pathInfoOf, sessionOf } from '../support/nix-facts.ts'
import { chunksOf, sampleClosure } from '../support/packages.ts'
import { startSshd } from '../support/sshd.ts'
import { packageSourceSuite, type SourceFixture } from './package-source-suite.ts'

let root: string
const samples = sampleClosure()

before(async () => {
  root = mkdtempSync(join(tmpdir(), 'gachix-source-'))
  const store = await GitPackageStore.open({ path: join(root, 'origin') })
  const session = store.ingest()
  for (const { info, nar } of samples) await session.add(info, chunksOf(nar))
  await session.finish()
  await store.close()
})
after(() => rmSync(root, { recursive: true }))

/** The store over a copy of the repository that `change` has been at. */
function storeAfter(name: string, change: (path: string, git: (...args: string[]) => void) => void) {
  return async (): Promise<SourceFixture> => {
    const path = join(root, name)
    cpSync(join(root, 'origin'), path, { recursive: true })
    change(path, (...args) => void execFileSync('git', ['-C', path, ...args], { stdio: 'pipe' }))
    const store = await GitPackageStore.open({ path })
    return { source: store, packages: samples.map(({ info }) => info), close: () => store.close() }
  }
}

packageSourceSuite(
  'a store',
  storeAfter('own', () => {}),
)

packageSourceSuite(
  'a store without anything that can be rebuilt',
  storeAfter('bare', (path) => rmSync(join(path, 'gachix'), { recursive: true })),
)

packageSourceSuite(
  'a store that git repacked with deltas',
  storeAfter('repacked', (_path, git) =>
    git('-c', 'pack.window=10', 'repack', '-adfq', '--window=10', '--depth=50'),
  ),
)

packageSourceSuite('a store of loose objects and loose refs', async () => {
  const path = join(root, 'loose')
  execFileSync('git', ['init', '-q', path])
  execFileSync('git', ['-C', path, 'config', 'fetch.unpackLimit', '100000'])
  execFileSync('git', ['-C', path, 'fetch', '-q', join(root, 'origin'), 'refs/*:refs/*'], { stdio: 'pipe' })
  const store = await GitPackageStore.open({ path })
  return { source: store, packages: samples.map(({ info }) => info), close: () => store.close() }
})

packageSourceSuite('the daemon of a Nix store', async () => {
  const nix = await NixStore.start()
  const facts = await nix.facts(await nix.closure(await nix.build(['executable', 'symlink', 'plain'])))
  const source = new DaemonSource({ name: 'daemon', connect: unixSocket(nix.socket) })
  return {
    source,
    packages: facts.map(pathInfoOf),
    async close() {
      await source.close()
      await nix.close()
    },
  }
})

packageSourceSuite('the daemon of a Nix store through SSH', async () => {
  const nix = await NixStore.start()
  const sshd = await startSshd({ wrap: (command) => nix.commandInside(command), setEnv: sessionOf(nix) })
  const facts = await nix.facts(await nix.closure(await nix.build(['executable', 'symlink', 'plain'])))
  const { user, host, port, program, clientKey } = sshd
  const url = `ssh-ng://${user}@${host}:${port}`
  const source = createBuilderSource({ url, name: 'builder' }, { identityFile: clientKey, program })
  return {
    source,
    packages: facts.map(pathInfoOf),
    async close() {
      source.close()
      await sshd.close()
      await nix.close()
    },
  }
})
