/** One of the nodes: its host, its repository, and its processes one after the other. */
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { NodeStatus, PackageSummary } from '../../src/http/control/api.ts'
import { ControlClient } from '../../src/http/control/client.ts'
import { controlSocketPath } from '../../src/http/control/socket-path.ts'
import { NODE_FLAGS } from '../bench/node-flags.ts'
import { collect } from '../support/collect.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import type { Host } from '../support/network.ts'
import type { RunResult } from '../support/process.ts'
import { type LogWatch, watchLog } from './log-watch.ts'
import { SOCKET_VARIABLE } from './memory-in-use.ts'
import { type Sample, sampleOf } from './samples.ts'

export interface MemberInit {
  readonly host: Host
  /** `mesh.sync`. */
  readonly sync: 'mirror' | 'on-demand' | readonly string[]
  /** Whether its process may be killed and restarted. */
  readonly mortal: boolean
  /** Socket of the daemon that it adds from. */
  readonly daemonSocket: string
  /** Folder for its log. */
  readonly out: string
  readonly problem: (what: string) => void
}

/** From a process's start to its end. */
export interface Life {
  readonly samples: Sample[]
  end: 'killed' | 'stopped' | 'crashed' | undefined
}

/** Milliseconds after which the harness kills a node that does not stop. */
const STOP_PATIENCE = 20_000
/** Milliseconds that a node may take to start beside four others at work, on a machine that may have other work too. */
const START_PATIENCE = 180_000
/** `mesh.listen` of all. */
const PORT = 4042
/** What lets the harness see what a node has in use. */
const WATCHED = ['--expose-gc', '--import', join(import.meta.dirname, 'memory-in-use.ts')]

export class Member implements AsyncDisposable {
  readonly init: MemberInit
  readonly gachix: Gachix
  readonly lives: Life[] = []
  readonly warnings: Map<string, number> = new Map()
  /** Store paths that it has said it has: they have to be there from then on. */
  readonly promised = new Set<string>()
  /** Counts what was done to it: whoever sees it change knows why a request failed. */
  disturbances = 0
  plugged = true
  readonly #control: ControlClient
  readonly #log: WriteStream
  readonly #jobs = new Set<Promise<RunResult>>()
  #node: GachixNode | undefined
  #port: number | undefined

  private constructor(init: MemberInit, gachix: Gachix) {
    this.init = init
    this.gachix = gachix
    this.#control = new ControlClient(controlSocketPath(join(gachix.repository, 'gachix')))
    this.#log = createWriteStream(join(init.out, `${init.host.name}.log`))
  }

  static async create(init: MemberInit): Promise<Member> {
    const { host, sync, daemonSocket } = init
    const gachix = await Gachix.create({
      host,
      daemonSocket,
      nodeFlags: [...NODE_FLAGS, ...WATCHED],
      patience: START_PATIENCE,
      env: { GACHIX__MESH__ENABLED: 'true', [SOCKET_VARIABLE]: memorySocket(init) },
      settings: JSON.stringify({
        mesh: { network: 'soak', listen: [`/ip4/${host.address}/tcp/${PORT}`], sync },
      }),
    })
    return new Member(init, gachix)
  }

  get name(): string {
    return this.init.host.name
  }

  /** Where it serves; `undefined` while it does not run. */
  get url(): string | undefined {
    return this.#node?.url
  }

  get life(): Life {
    return this.lives.at(-1)!
  }

  async start(): Promise<void> {
    // The same address again and again, as clients have it in their settings.
    const node = await this.gachix.serve({}, [], this.#port)
    this.#port = Number(new URL(node.url).port)
    this.#node = node
    const life: Life = { samples: [], end: undefined }
    this.lives.push(life)
    const { problem } = this.init
    const watch: LogWatch = { file: this.#log, problem, warnings: this.warnings }
    watchLog(node.child, node.output(), watch)
    node.child.once('exit', (code, signal) => {
      if (life.end !== undefined) return
      life.end = 'crashed'
      problem(`the process ended by itself: ${code ?? signal}`)
    })
  }

  /** Ends its process; resolves when nothing holds the repository any more. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const node = this.#node!
    this.#node = undefined
    this.disturbances++
    this.life.end ??= signal === 'SIGKILL' ? 'killed' : 'stopped'
    await node.stop(signal)
    if (signal === 'SIGTERM') {
      const { exitCode, signalCode } = node.child
      if (signalCode !== null) this.init.problem(`it did not stop within ${STOP_PATIENCE / 1000} s`)
      else if (exitCode !== 0) this.init.problem(`it ended with ${exitCode} when it was asked to stop`)
    }
    // What was asked just now may find no node, and work on the repository itself.
    await Promise.all(this.#jobs)
  }

  async unplug(): Promise<void> {
    this.disturbances++
    this.plugged = false
    await this.init.host.unplug()
  }

  async plug(): Promise<void> {
    await this.init.host.plug()
    this.disturbances++
    this.plugged = true
  }

  /** `gachix ARGS` on its host. */
  async command(args: readonly string[]): Promise<RunResult> {
    const job = this.gachix.attempt(args)
    this.#jobs.add(job)
    try {
      return await job
    } finally {
      this.#jobs.delete(job)
    }
  }

  /** @throws GachixError when it does not run */
  async status(): Promise<NodeStatus> {
    return await this.#control.status()
  }

  async list(): Promise<PackageSummary[]> {
    return await Array.fromAsync(this.#control.list())
  }

  /**
   * Looks at the process, unless it ends meanwhile.
   *
   * @param thoroughly also at what it has in use once everything else is collected, which keeps it busy for a moment
   */
  async look(thoroughly: boolean): Promise<Sample | undefined> {
    const { life } = this
    const { disturbances } = this
    if (this.#node === undefined) return undefined
    try {
      const inUse = thoroughly ? Number(await collect(connect(memorySocket(this.init)))) : undefined
      const sample = sampleOf(this.#node.child.pid!, await this.status(), inUse)
      life.samples.push(sample)
      return sample
    } catch (error) {
      if (life.end === undefined && disturbances === this.disturbances) throw error
      return undefined
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const life of this.lives) life.end ??= 'killed'
    await this.gachix.close()
    this.#log.end()
    await once(this.#log, 'close')
  }
}

/** Where a node tells what it has in use. */
function memorySocket({ out, host }: MemberInit): string {
  return join(out, `${host.name}.sock`)
}
