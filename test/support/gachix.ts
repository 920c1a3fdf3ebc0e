/** The product as its users run it: the command, and a node beside the test. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from './network.ts'
import { attempt, collectOutput, freePort, type RunResult, run, stopChild, until } from './process.ts'

const SETTINGS_FILE = 'gachix.yaml'
const CHECKOUT = join(import.meta.dirname, '../..')

/** The command line interface: the sources, or with `GACHIX_TEST_DIST=1` what `npm run build` made of them. */
export const CLI =
  process.env.GACHIX_TEST_DIST === '1' ? join(CHECKOUT, 'dist/main.js') : join(CHECKOUT, 'src/cli/main.ts')

export interface GachixOptions {
  /** The repository; without it a new one in a folder of its own, which `close()` removes. */
  readonly repository?: string
  /** Socket of the Nix daemon that `add` learns from. */
  readonly daemonSocket?: string
  /** File with the secret signing key. */
  readonly keyFile?: string
  /** Further environment, for instance `GACHIX__…` settings. */
  readonly env?: NodeJS.ProcessEnv
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
  /** Text of a settings file. */
  readonly settings?: string
  /** Milliseconds that a node may take to start; default 30 s. */
  readonly patience?: number
  /** The host that everything runs on; this machine by default. */
  readonly host?: Host
}

/** One repository and the settings to run the product on it. */
export class Gachix implements AsyncDisposable {
  readonly repository: string
  readonly env: NodeJS.ProcessEnv
  readonly #folder: string
  readonly #nodeFlags: readonly string[]
  readonly #host: Host | undefined
  readonly #hasSettings: boolean
  readonly #patience: number | undefined
  readonly #nodes: GachixNode[] = []

  private constructor(folder: string, options: GachixOptions) {
    this.#folder = folder
    this.#nodeFlags = options.nodeFlags ?? []
    this.#host = options.host
    this.#hasSettings = options.settings !== undefined
    this.#patience = options.patience
    this.repository = options.repository ?? join(folder, 'cache')
    this.env = {
      PATH: process.env.PATH,
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, 'config'),
      LC_ALL: 'C.UTF-8',
      // As all ways of starting it that are in this repository have it.
      MALLOC_ARENA_MAX: '1',
      MALLOC_MMAP_THRESHOLD_: '131072',
      // The tests start the command some hundred times: most of that is compiling.
      NODE_COMPILE_CACHE: join(CHECKOUT, 'test/.work/compile-cache'),
      GACHIX__STORE__PATH: this.repository,
      GACHIX__SERVER__HOST: options.host?.address ?? '127.0.0.1',
      ...(isAboutMesh(options) ? {} : { GACHIX__MESH__ENABLED: 'false' }),
      ...(options.daemonSocket === undefined ? {} : { NIX_DAEMON_SOCKET_PATH: options.daemonSocket }),
      ...(options.keyFile === undefined ? {} : { GACHIX__STORE__SIGN_PRIVATE_KEY_PATH: options.keyFile }),
      ...options.env,
    }
  }

  static async create(options: GachixOptions = {}): Promise<Gachix> {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-e2e-'))
    if (options.settings !== undefined) await writeFile(join(folder, SETTINGS_FILE), options.settings)
    return new Gachix(folder, options)
  }

  /** The command line of `gachix ARGS`. */
  command(args: readonly string[]): [program: string, ...args: string[]] {
    const settings = this.#hasSettings ? ['--config', join(this.#folder, SETTINGS_FILE)] : []
    const command = [process.execPath, ...this.#nodeFlags, CLI, ...settings, ...args]
    const [program, ...rest] = this.#host?.command(command) ?? command
    return [program!, ...rest]
  }

  /** `gachix ARGS` to its end, whatever comes of it. */
  attempt(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<RunResult> {
    const options = { cwd: this.#folder, env: { ...this.env, ...env } }
    const [program, ...rest] = this.command(args)
    return attempt(program, rest, options)
  }

  /** `gachix ARGS`; throws unless it ends well. Gives its standard output. */
  async run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const options = { cwd: this.#folder, env: { ...this.env, ...env } }
    const [program, ...rest] = this.command(args)
    return (await run(program, rest, options)).toString()
  }

  /** `gachix ARGS` beside the test, started by `launcher` if there is one: a program and its arguments. */
  spawn(
    args: readonly string[],
    env: NodeJS.ProcessEnv = {},
    launcher: readonly string[] = [],
  ): ChildProcess {
    const [program, ...rest] = [...launcher, ...this.command(args)]
    return spawn(program!, rest, {
      cwd: this.#folder,
      env: { ...this.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** `gachix ARGS`, killed after so many milliseconds. Whether it was killed before it ended well; throws when it failed. */
  async killed(args: readonly string[], moment: number): Promise<boolean> {
    const child = this.spawn(args)
    const output = collectOutput(child)
    const ended = once(child, 'close')
    const timer = setTimeout(() => child.kill('SIGKILL'), moment)
    await ended
    clearTimeout(timer)
    if (child.signalCode === 'SIGKILL') return true
    if (child.exitCode === 0) return false
    throw new Error(`gachix ${args.join(' ')}, which was not killed: exit ${child.exitCode}: ${output()}`)
  }

  /** Starts `gachix serve` on a free port and waits until it says that it is healthy. */
  async serve(
    env: NodeJS.ProcessEnv = {},
    launcher: readonly string[] = [],
    port?: number,
  ): Promise<GachixNode> {
    port ??= await freePort()
    const child = this.spawn(['serve'], { GACHIX__SERVER__PORT: String(port), ...env }, launcher)
    const node = new GachixNode(`http://${this.#host?.address ?? '127.0.0.1'}:${port}`, child)
    this.#nodes.push(node)
    await node.healthy(this.#patience)
    return node
  }

  /** Stops all nodes and removes what was made. */
  async close(): Promise<void> {
    for (const node of this.#nodes) await node.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Nodes of tests that say nothing of the mesh are in none: they start sooner, and take no fixed port. */
function isAboutMesh({ env = {}, settings = '' }: GachixOptions): boolean {
  return /^mesh:/m.test(settings) || Object.keys(env).some((name) => name.startsWith('GACHIX__MESH__'))
}

/** A running `gachix serve`. */
export class GachixNode {
  /** The cache's URL, without a slash at the end. */
  readonly url: string
  readonly child: ChildProcess
  /** What it has written so far. */
  readonly output: () => string

  constructor(url: string, child: ChildProcess) {
    this.url = url
    this.child = child
    this.output = collectOutput(child)
    // Tests then fail by what the node no longer does; only this tells why.
    child.once('close', (code: number | null) => {
      if (code) console.error(`the node at ${url} ended by itself (${code}): ${this.output().slice(-20_000)}`)
    })
  }

  /** Waits for the answer 200 of `/health`. */
  async healthy(patience = 30_000): Promise<void> {
    await until(
      () => `${this.url}/health: ${this.output()}`,
      async () => {
        if (this.child.exitCode !== null || this.child.signalCode !== null) {
          throw new Error(
            `the node ended (${this.child.exitCode ?? this.child.signalCode}): ${this.output()}`,
          )
        }
        const response = await fetch(`${this.url}/health`).catch(() => undefined)
        await response?.arrayBuffer()
        return response?.status === 200 ? true : undefined
      },
      patience,
    )
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return stopChild(this.child, signal)
  }
}

/** Notes of fsck that are no fault: unreachable objects, no branches, and links that git would not follow. */
const NO_FAULT =
  /^(dangling |notice: (HEAD|No default)|warning in tree \w+: git(attributes|ignore)Symlink|warning in tree \w+: mailmapSymlink)/

/** What git says when a pack goes that it was about to read. */
const PACK_GONE = /^error: packfile (\S+) (?:index not opened|cannot be accessed)$/
/** How often a repository is looked at again when its node merged packs meanwhile. */
const MERGES = 3

/** Every object and reference of a repository, by `git` itself, to its strictest rules. */
export async function fsck(
  repository: string,
  flags: readonly string[] = ['--strict', '--full'],
  merges = MERGES,
): Promise<void> {
  const result = await attempt('git', ['-C', repository, 'fsck', '--no-progress', ...flags])
  const complaints = `${result.stdout.toString()}${result.stderr}`
    .split('\n')
    .filter((line) => line !== '' && !NO_FAULT.test(line))
  // A node that runs may merge packs while git reads them, which git takes for damage. Then all of them are gone now.
  const gone = complaints.map((line) => PACK_GONE.exec(line)?.[1])
  const merged =
    gone.length > 0 && gone.every((pack) => pack !== undefined && !existsSync(join(repository, pack)))
  if (merged && merges > 0) return await fsck(repository, flags, merges - 1)
  if (result.code !== 0 || complaints.length > 0) {
    throw new Error(
      `git fsck ${flags.join(' ')}: exit ${result.code}\n${complaints.join('\n').slice(0, 4000)}`,
    )
  }
}
