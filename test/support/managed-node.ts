/** A node that a service manager started: systemd's part is played by `service-manager.pl`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CLI } from './gachix.ts'
import { collectOutput, stopChild, until } from './process.ts'

const MANAGER = join(import.meta.dirname, 'service-manager.pl')

/** Any number of nodes can run beside each other. */
const OWN_PORTS = { GACHIX__SERVER__PORT: '0', GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0' }

export interface ManagedOptions {
  /** Listening sockets that are handed to the node. */
  readonly sockets?: number
  /** Period of the watchdog in milliseconds; without it there is none. */
  readonly watchdog?: number
  readonly env?: NodeJS.ProcessEnv
  /** Options of `gachix`, before `serve`. */
  readonly args?: readonly string[]
}

export class ManagedNode implements AsyncDisposable {
  /** What the manager printed: ports and messages; and what the node logged. */
  readonly output: () => string
  readonly child: ChildProcess
  readonly #folder: string

  private constructor(child: ChildProcess, folder: string) {
    this.child = child
    this.#folder = folder
    this.output = collectOutput(child)
  }

  static async start(options: ManagedOptions = {}): Promise<ManagedNode> {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-managed-'))
    const { sockets = 0, watchdog = 0, args = [] } = options
    const variables = Object.entries({ ...OWN_PORTS, ...options.env })
    const settings = variables.map(([name, value]) => `${name}=${value}`)
    const command = ['env', ...settings, process.execPath, CLI, ...args, 'serve']
    const child = spawn('perl', [MANAGER, folder, String(sockets), String(watchdog * 1000), ...command], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return new ManagedNode(child, folder)
  }

  /** Waits until what was printed matches, and gives the match. */
  async said(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(
      () => `${pattern}: ${this.output()}`,
      async () => {
        const match = pattern.exec(this.output())
        if (match === null && this.child.exitCode !== null) throw new Error(`it ended: ${this.output()}`)
        return match ?? undefined
      },
    )
  }

  /** Passes SIGTERM on to the node. @returns the node's exit code */
  async stop(): Promise<number | null> {
    await stopChild(this.child)
    return this.child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
