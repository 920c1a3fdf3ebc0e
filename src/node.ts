/**
 * The composition root: builds every part of a node from its settings, starts them in order and stops them in reverse.
 */
import type { Config } from './config/schema.ts'
import { ControlServer } from './http/control/server.ts'
import { controlSocketPath } from './http/control/socket-path.ts'
import { createHttpServer } from './http/server.ts'
import type { Startable } from './util/lifecycle.ts'
import type { Logger } from './util/log.ts'
import { VERSION } from './util/version.ts'
import { Workspace } from './workspace.ts'

export interface NodeInit {
  readonly config: Config
  readonly logger: Logger
  /** Environment that says where the Nix daemon's socket is. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Listening sockets for HTTP, by descriptor, that were handed to this process; without any it makes its own. */
  readonly httpSockets?: readonly number[]
}

/** A running node: one process, one repository, one cache over HTTP. */
export class Node implements Startable {
  readonly #init: NodeInit
  /** What has been started, each with its way to stop, in order. */
  readonly #started: (() => Promise<void>)[] = []
  #url: string | undefined

  constructor(init: NodeInit) {
    this.#init = init
  }

  /** Where the node serves; `undefined` while it does not. */
  get url(): string | undefined {
    return this.#url
  }

  /**
   * @throws GachixError when the repository is in use or damaged, the key cannot be had, or the address is taken; what was
   *   started before the failure is stopped again
   */
  async start(): Promise<void> {
    if (this.#started.length > 0) return
    try {
      await this.#startParts()
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /**
   * Stops taking requests, lets running ones end, and lets the repository go.
   *
   * @throws the first error of a part that failed to stop, once all others have been stopped
   */
  async stop(): Promise<void> {
    this.#url = undefined
    const failures: unknown[] = []
    for (let stop = this.#started.pop(); stop !== undefined; stop = this.#started.pop()) {
      try {
        await stop()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async #startParts(): Promise<void> {
    const { config, logger, httpSockets = [] } = this.#init
    let controlSocket = ''
    const workspace = await Workspace.open(this.#init, {
      controlSocket: (ownDir) => {
        controlSocket = controlSocketPath(ownDir)
        return controlSocket
      },
    })
    this.#started.push(() => workspace.close())
    const { key } = await workspace.signingKey()
    workspace.publicKey = key.publicKey.toString()

    const { links, pullThrough } = await workspace.replication()
    // Before HTTP, whose `/health` tells that the node can be used: by commands as well.
    await this.#run(new ControlServer({ operations: workspace.operations, path: controlSocket, logger }))
    const http = createHttpServer({
      store: workspace.store,
      ...((links.length > 0 || config.mesh.enabled) && { onDemand: pullThrough }),
      keys: [key],
      ...(config.server.git && { git: workspace.store.git }),
      settings: { ...config.server, sockets: httpSockets },
      logger: logger.child({ part: 'http' }),
      version: VERSION,
    })
    await this.#run(http)
    this.#url = http.url
    workspace.http = { url: http.url }
    // Last: to know all that there is to tell of takes seconds where there are a million packages, and clients need not wait for it.
    await workspace.mesh()
  }

  async #run(part: Startable): Promise<void> {
    await part.start()
    this.#started.push(() => part.stop())
  }
}
