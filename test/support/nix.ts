/**
 * A real Nix store in a folder of its own: real `nix-build`, real `nix-daemon`. The machine's own `/nix` is not touched:
 * every command runs in a private mount namespace where the folder is `/nix`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sha256Hex } from './narinfo.ts'
import { attempt, collectOutput, run, runLines, stopChild, until } from './process.ts'

/** The small packages of `test/fixtures/`. */
export const FIXTURES = join(import.meta.dirname, '../fixtures/packages.nix')

const PRIVATE_CONF = `build-users-group =
sandbox = false
filter-syscalls = false
substitute = false
substituters =
max-jobs = 2
cores = 1
keep-build-log = false
fsync-metadata = false
auto-optimise-store = false
experimental-features = nix-command
`

/** What Nix says of a valid store path. */
export interface PathFacts {
  readonly path: string
  /** SHA-256 of the NAR, 64 hex digits. */
  readonly narHash: string
  readonly narSize: number
  /** Full paths, sorted. */
  readonly references: readonly string[]
  readonly deriver?: string
  readonly ca?: string
}

/**
 * The environment of a Nix command: nothing of the user's settings, and caches of its own in `home`, so that what one
 * run remembered of a binary cache does not answer for the next.
 */
export async function nixEnvironment(home: string, conf = PRIVATE_CONF): Promise<NodeJS.ProcessEnv> {
  await mkdir(join(home, 'conf'), { recursive: true })
  await writeFile(join(home, 'conf/nix.conf'), conf)
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CACHE_HOME: join(home, 'cache'),
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_DATA_HOME: join(home, 'data'),
    XDG_STATE_HOME: join(home, 'state'),
    NIX_CONF_DIR: join(home, 'conf'),
    NIX_USER_CONF_FILES: '',
    LC_ALL: 'C.UTF-8',
  }
}

/** Fails, with the way out, where no mount namespace can be had. */
async function requireNamespaces(): Promise<void> {
  const found = await attempt('unshare', ['--mount', '--propagation', 'private', 'mkdir', '-p', '/nix'])
  if (found.code === 0) return
  throw new Error(
    `these tests run a real Nix store in a mount namespace of its own, which is not allowed here: run them as root ` +
      `(in a container: with CAP_SYS_ADMIN). unshare said: ${found.stderr.trim()}`,
  )
}

export class NixStore implements AsyncDisposable {
  /** Where the store's files really are: store path `/nix/store/x` is `root` + `/nix/store/x`. */
  readonly root: string
  /** The daemon's socket, to be reached from outside the namespace. */
  readonly socket: string
  readonly env: NodeJS.ProcessEnv
  readonly #remove: boolean
  readonly #home: string
  #daemon: ChildProcess | undefined

  private constructor(root: string, home: string, env: NodeJS.ProcessEnv, remove: boolean) {
    this.root = root
    this.socket = join(home, 'daemon')
    this.env = env
    this.#home = home
    this.#remove = remove
  }

  /**
   * An empty store with a running daemon. With `root`, the store that lies there already (`root/nix`), which is kept
   * by `close()`.
   */
  static async start(options: { root?: string } = {}): Promise<NixStore> {
    await requireNamespaces()
    const home = await mkdtemp(join(tmpdir(), 'gxnix-'))
    const root = options.root ?? join(home, 'root')
    await mkdir(join(root, 'nix'), { recursive: true })
    const store = new NixStore(root, home, await nixEnvironment(home), options.root === undefined)
    // Without a store, a daemon that finds its own socket in its environment would ask itself.
    await store.inside(['nix-store', '--init'])
    await store.#startDaemon()
    return store
  }

  async #startDaemon(): Promise<void> {
    // The tests' process takes the daemon with it, however it ends.
    const daemon = spawn('setpriv', ['--pdeathsig', 'KILL', ...this.commandInside(['nix-daemon'])], {
      env: { ...this.env, NIX_DAEMON_SOCKET_PATH: this.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = collectOutput(daemon)
    this.#daemon = daemon
    await until(
      () => `the nix-daemon: ${output()}`,
      async () => {
        if (daemon.exitCode !== null) throw new Error(`the nix-daemon ended: ${output()}`)
        return (await accepts(this.socket)) ? true : undefined
      },
    )
  }

  /** The command line that runs `command` where this store is `/nix`. */
  commandInside(command: readonly string[]): string[] {
    const script = 'mkdir -p /nix && mount --bind "$0" /nix && exec "$@"'
    return [
      'unshare',
      '--mount',
      '--propagation',
      'private',
      'sh',
      '-c',
      script,
      join(this.root, 'nix'),
      ...command,
    ]
  }

  /** Runs a command where this store is `/nix`, and gives its output. */
  async inside(command: readonly string[]): Promise<Buffer> {
    const [program, ...args] = this.commandInside(command)
    return run(program!, args, { env: this.env })
  }

  async #lines(command: readonly string[]): Promise<string[]> {
    return (await this.inside(command))
      .toString()
      .split('\n')
      .filter((line) => line !== '')
  }

  /**
   * Builds attributes of a Nix expression.
   *
   * @returns the store paths, in the order of `attributes`
   */
  async build(
    attributes: readonly string[],
    options: { file?: string; salt?: string } = {},
  ): Promise<string[]> {
    const salt = options.salt === undefined ? [] : ['--argstr', 'salt', options.salt]
    const selected = attributes.flatMap((attribute) => ['-A', attribute])
    return this.#lines(['nix-build', options.file ?? FIXTURES, ...selected, ...salt, '--no-out-link'])
  }

  /** Adds a file or folder of the machine as a content-addressed store path (`nix-store --add`). */
  async add(path: string): Promise<string> {
    const [added] = await this.#lines(['nix-store', '--add', path])
    return added!
  }

  /** All store paths that the given ones need, references first. */
  async closure(paths: readonly string[]): Promise<string[]> {
    return this.#lines(['nix-store', '--query', '--requisites', ...paths])
  }

  /** What Nix says of these paths, in their order. */
  async facts(paths: readonly string[]): Promise<PathFacts[]> {
    return readFacts(await this.inside(['nix', 'path-info', '--json', ...paths]), paths)
  }

  /** The NAR of a store path as the real Nix writes it. Whole in memory: for small ones. */
  async dump(path: string): Promise<Buffer> {
    return run('nix-store', ['--dump', this.real(path)], { env: this.env })
  }

  /** Where a store path's files are, seen from outside the namespace. */
  real(path: string): string {
    return join(this.root, path)
  }

  /** A new signing key of the real Nix: the file with the secret key, and the public one. */
  async signingKey(name: string): Promise<{ secretFile: string; publicKey: string }> {
    const secretFile = join(this.#home, `${name}.secret`)
    const publicFile = join(this.#home, `${name}.public`)
    await run('nix-store', ['--generate-binary-cache-key', name, secretFile, publicFile], { env: this.env })
    await chmod(secretFile, 0o600)
    const [publicKey] = await runLines('cat', [publicFile])
    return { secretFile, publicKey: publicKey! }
  }

  /** Ends the daemon and removes what was made. */
  async close(): Promise<void> {
    if (this.#daemon !== undefined) await stopChild(this.#daemon)
    if (this.#remove) await rm(this.root, { recursive: true, force: true })
    await rm(this.#home, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** What a `nix path-info --json` of any version says. Older ones print a list, newer ones an object. */
export function readFacts(json: Buffer, paths: readonly string[]): PathFacts[] {
  type Entry = {
    path?: string
    narHash: string
    narSize: number
    references: string[]
    deriver?: string
    ca?: string
  }
  const parsed = JSON.parse(json.toString()) as Entry[] | Record<string, Entry>
  const byPath = new Map(
    Array.isArray(parsed) ? parsed.map((entry) => [entry.path!, entry]) : Object.entries(parsed),
  )
  return paths.map((path) => {
    const entry = byPath.get(path)
    if (entry?.narHash === undefined) throw new Error(`Nix does not know ${path}`)
    return {
      path,
      narHash: sha256Hex(entry.narHash),
      narSize: entry.narSize,
      references: [...entry.references].sort(),
      ...(entry.deriver ? { deriver: entry.deriver } : {}),
      ...(entry.ca ? { ca: entry.ca } : {}),
    }
  })
}

/** Whether something accepts connections on a Unix socket. */
function accepts(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket)
    connection.once('connect', () => {
      connection.destroy()
      resolve(true)
    })
    connection.once('error', () => resolve(false))
  })
}
