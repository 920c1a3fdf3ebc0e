/**
 * One connection a peer. Two nodes that dial each other at the same moment get two, and so does who is dialled at an address
 * whose peer is connected already. Both sides come to the same choice without a word: the connection that the peer with the
 * smaller id dialled stays, of several the newest. What runs on another one ends there; then the side with the smaller id closes it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection, Stream } from '@libp2p/interface'
import type { Logger } from '../../util/log.ts'
import { DUPLICATE_GRACE, DUPLICATE_SETTLING, DUPLICATE_TICK, IDENTIFY_TIMEOUT } from './limits.ts'

/** Protocols that run on every connection and that nobody waits for, by how they begin; gossip moves to what stays. */
const BACKGROUND = ['/ipfs/', '/meshsub/']

export interface DuplicatesComponents {
  /** Id of this node. */
  readonly self: string
  /** Connections with a peer, in the order in which they were made. */
  readonly connections: (id: string) => readonly Connection[]
  /** Has the other side of a connection identify itself, which proves it alive and has gossip begin on it if it runs nowhere. */
  readonly identify: (connection: Connection, signal: AbortSignal) => Promise<unknown>
  readonly logger: Logger
}

export class Duplicates {
  readonly #components: DuplicatesComponents
  readonly #stopping = new AbortController()
  /** Peers with whom it is being settled which connection stays. */
  readonly #settling = new Set<string>()
  /** Connections on which nothing is begun any more. */
  readonly #retired = new WeakSet<Connection>()

  constructor(components: DuplicatesComponents) {
    this.#components = components
  }

  /** The connection on which what is new begins; `undefined` when none is open. */
  preferred(id: string): Connection | undefined {
    const open = this.#open(id)
    return open.findLast((connection) => !this.#retired.has(connection)) ?? open.at(-1)
  }

  /** There is a new connection with a peer of this network. */
  opened(id: string): void {
    if (this.#settling.has(id) || this.#open(id).length < 2) return
    this.#settling.add(id)
    this.#settle(id)
      .catch((err: unknown) => {
        if (!this.#stopping.signal.aborted) {
          this.#components.logger.warn({ err, peer: id }, 'a second connection to a peer stays')
        }
      })
      .finally(() => this.#settling.delete(id))
  }

  /** A connection with a peer has ended. Gossip that ran on it goes on over another one, if there is one. */
  closed(id: string): void {
    const left = this.preferred(id)
    if (left !== undefined) this.#answers(left).catch(() => {})
  }

  /** Ends all waiting. */
  stop(): void {
    this.#stopping.abort()
  }

  async #settle(id: string): Promise<void> {
    const { self, logger } = this.#components
    const waiting = { signal: this.#stopping.signal, ref: false }
    await delay(DUPLICATE_SETTLING, undefined, waiting)
    let proven: Connection | undefined
    for (let open = this.#open(id); open.length > 1; open = this.#open(id)) {
      const staying = whichStays(self, id, open)
      if (staying !== proven) {
        // It may be left over from a peer that has vanished and is back on the other one. What runs there finds out for itself.
        if (!(await this.#answers(staying))) {
          if (staying.streams.every((stream) => isBackground(stream) || stream.protocol === ''))
            staying.abort(new Error('the other side is silent'))
          await delay(DUPLICATE_TICK, undefined, waiting)
          continue
        }
        proven = staying
        for (const connection of open) if (connection !== staying) this.#retired.add(connection)
        if (id < self) return
        // The other side has come as far by then, and begins nothing there either.
        await delay(DUPLICATE_GRACE, undefined, waiting)
        continue
      }
      for (const connection of open) {
        if (connection === staying || !isIdle(connection)) continue
        logger.debug({ peer: id, address: String(connection.remoteAddr) }, 'closing a second connection')
        await connection.close().catch((error: Error) => connection.abort(error))
      }
      await delay(DUPLICATE_TICK, undefined, waiting)
    }
  }

  /** Whether the other side of a connection answers. Behind bulk data on a slow line it may not do so in time. */
  async #answers(connection: Connection): Promise<boolean> {
    const timeout = AbortSignal.timeout(IDENTIFY_TIMEOUT)
    try {
      await this.#components.identify(connection, AbortSignal.any([this.#stopping.signal, timeout]))
      return true
    } catch {
      this.#stopping.signal.throwIfAborted()
      return false
    }
  }

  #open(id: string): Connection[] {
    return this.#components.connections(id).filter(({ status }) => status === 'open')
  }
}

function whichStays(self: string, peer: string, connections: readonly Connection[]): Connection {
  const direction = self < peer ? 'outbound' : 'inbound'
  return connections.findLast((connection) => connection.direction === direction) ?? connections.at(-1)!
}

function isIdle({ streams }: Connection): boolean {
  return streams.every(isBackground)
}

function isBackground({ protocol }: Stream): boolean {
  return BACKGROUND.some((prefix) => protocol.startsWith(prefix))
}
