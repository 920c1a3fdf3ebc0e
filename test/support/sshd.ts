/**
 * A real sshd with keys of its own on a port of its own, and a client that knows it. Neither reads or writes anything of
 * the user's `~/.ssh`: the client is a script named `ssh` that gives the real one a configuration file of the test's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { collectOutput, freePort, run, stopChild, until } from './process.ts'

export interface SshdOptions {
  /** Variables that the server takes from clients, for instance `GIT_PROTOCOL`; default none. */
  readonly acceptEnv?: readonly string[]
  /** Variables that every session has. */
  readonly setEnv?: Readonly<Record<string, string>>
  /** Puts the server's command line into another, for instance one that runs it in a namespace. */
  readonly wrap?: (command: readonly string[]) => readonly string[]
  /** Further lines of its configuration. */
  readonly config?: readonly string[]
  /** Address that it listens on; default 127.0.0.1. */
  readonly address?: string
}

export interface Sshd extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** User that sessions run as: that of the tests. */
  readonly user: string
  /** Public host key, a line as in `ssh_host_ed25519_key.pub`. */
  readonly hostKey: string
  /** Secret key that the server lets in. The client does not use it unless it is told to. */
  readonly clientKey: string
  /** What the client takes for known hosts; may be rewritten. */
  readonly knownHosts: string
  /** Configuration of the client; further lines may be put before it. */
  readonly clientConfig: string
  /** Folder with the client's script `ssh`, for a `PATH`. */
  readonly bin: string
  /** The script. */
  readonly program: string
  /** What the server has written. */
  log(): string
  close(): Promise<void>
}

/** A new key pair without a passphrase. */
export async function generateSshKey(file: string): Promise<string> {
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'test', '-f', file])
  return (await readFile(`${file}.pub`, 'utf8')).trim()
}

export async function startSshd(options: SshdOptions = {}): Promise<Sshd> {
  const { acceptEnv = [], setEnv = {}, wrap = (command) => command, config = [] } = options
  const host = options.address ?? '127.0.0.1'
  const folder = await mkdtemp(join(tmpdir(), 'gxssh-'))
  const file = (name: string) => join(folder, name)
  const hostKey = await generateSshKey(file('host_key'))
  const clientKey = await generateSshKey(file('client_key'))
  await writeFile(file('authorized_keys'), `${clientKey}\n`)
  const port = await freePort()
  const set = Object.entries(setEnv).map(([name, value]) => `"${name}=${value}"`)
  const lines = [
    `ListenAddress ${host.includes(':') ? `[${host}]` : host}:${port}`,
    `HostKey ${file('host_key')}`,
    `AuthorizedKeysFile ${file('authorized_keys')}`,
    'AuthenticationMethods publickey',
    'PermitRootLogin yes',
    'StrictModes no',
    'UsePAM no',
    'UseDNS no',
    'PidFile none',
    'PrintMotd no',
    'MaxStartups 100',
    ...(acceptEnv.length === 0 ? [] : [`AcceptEnv ${acceptEnv.join(' ')}`]),
    ...(set.length === 0 ? [] : [`SetEnv ${set.join(' ')}`]),
    ...config,
  ]
  await writeFile(file('sshd_config'), `${lines.join('\n')}\n`)
  await mkdir('/run/sshd', { recursive: true })

  await writeFile(file('known_hosts'), `[${host}]:${port} ${hostKey}\n`)
  await writeFile(
    file('ssh_config'),
    [`UserKnownHostsFile ${file('known_hosts')}`, 'GlobalKnownHostsFile none', 'IdentityFile none', ''].join(
      '\n',
    ),
  )
  await mkdir(file('bin'))
  const program = join(file('bin'), 'ssh')
  await writeFile(program, `#!/bin/sh\nexec /usr/bin/ssh -F '${file('ssh_config')}' "$@"\n`)
  await chmod(program, 0o755)

  const [command, ...args] = wrap(['/usr/sbin/sshd', '-D', '-e', '-f', file('sshd_config')])
  // The tests' process takes the server with it, however it ends.
  const server = spawn('setpriv', ['--pdeathsig', 'KILL', command!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = collectOutput(server)
  await until(
    () => `sshd: ${log()}`,
    async () => {
      if (server.exitCode !== null) throw new Error(`sshd ended: ${log()}`)
      return (await answers(host, port)) ? true : undefined
    },
  )
  const close = async () => {
    await end(server)
    await rm(folder, { recursive: true, force: true })
  }
  return {
    ...{ host, port, hostKey, program, log, close },
    user: userInfo().username,
    clientKey: file('client_key'),
    knownHosts: file('known_hosts'),
    clientConfig: file('ssh_config'),
    bin: file('bin'),
    [Symbol.asyncDispose]: close,
  }
}

/** Sessions end with their connections; the server itself ends here. */
async function end(server: ChildProcess): Promise<void> {
  await stopChild(server, 'SIGTERM', 5000)
}

/** Whether an SSH server greets. */
function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString('latin1').startsWith('SSH-'))
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}
