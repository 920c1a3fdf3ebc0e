import { SshError } from '../../git/transport/ssh-errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { abortedError, throwIfAborted } from '../abort.ts'
import type { DaemonClient } from './client.ts'
import { DaemonUnavailableError } from './errors.ts'

export interface DaemonPoolOptions {
  /** Most connections at once; default 4. A daemon runs one process for each. */
  readonly connections?: number
  /** Milliseconds after which connections that nobody uses are closed; default 10,000. */
  readonly keepAlive?: number
}

interface Turn {
  readonly take: () => void
  readonly refuse: (error: Error) => void
}

/**
 * A bounded set of connections to one daemon. They are opened when there is work for them, kept for a while, and
 * dropped once something went wrong on them. Who finds all of them busy waits for its turn.
 */
export class DaemonPool {
  readonly #open: (options: AbortOptions) => Promise<DaemonClient>
  readonly #size: number
  readonly #keepAlive: number
  readonly #idle: DaemonClient[] = []
  readonly #leased = new Set<DaemonClient>()
  readonly #turns: Turn[] = []
  /** Connections that are leased or being opened. */
  #taken = 0
  #closed = false
  #timer: NodeJS.Timeout | undefined

  constructor(open: (options: AbortOptions) => Promise<DaemonClient>, options: DaemonPoolOptions = {}) {
    this.#open = open
    this.#size = options.connections ?? 4
    this.#keepAlive = options.keepAlive ?? 10_000
  }

  /** Runs one operation on a connection. Throws what opening a connection or `work` throws. */
  async use<T>(work: (client: DaemonClient) => Promise<T>, options: AbortOptions = {}): Promise<T> {
    const { client, result } = await this.lease(work, options)
    this.release(client)
    return result
  }

  /**
   * Takes a connection for several operations and runs the first of them, which may run twice: a kept connection
   * that turns out to be dead (the daemon was started anew meanwhile) is replaced. Whoever leases must `release`;
   * when this throws there is nothing to release.
   */
  async lease<T>(
    first: (client: DaemonClient) => Promise<T>,
    options: AbortOptions = {},
  ): Promise<{ client: DaemonClient; result: T }> {
    await this.#turn(options.signal)
    for (;;) {
      let client: DaemonClient | undefined
      try {
        const kept = this.#takeIdle()
        client = kept ?? (await this.#open(options))
        this.#leased.add(client)
        this.#checkOpen()
        const before = client.received
        try {
          return { client, result: await first(client) }
        } catch (error) {
          const lost = error instanceof DaemonUnavailableError || error instanceof SshError
          const stale = kept && lost && client.received === before
          if (!stale || this.#closed) throw error
          this.#leased.delete(client)
        }
      } catch (error) {
        if (client === undefined) this.#giveTurn()
        else this.release(client)
        throw error
      }
    }
  }

  /** Gives a leased connection back; one that is not usable any more is dropped. */
  release(client: DaemonClient): void {
    this.#leased.delete(client)
    if (client.usable && !this.#closed) {
      this.#idle.push(client)
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#closeIdle(), this.#keepAlive).unref()
    } else {
      client.close()
    }
    this.#giveTurn()
  }

  /** Closes all connections; what runs on them fails, and so does every later use. */
  close(): void {
    this.#closed = true
    this.#closeIdle()
    for (const client of this.#leased) client.close()
    for (const turn of this.#turns.splice(0)) turn.refuse(closedError())
  }

  #closeIdle(): void {
    clearTimeout(this.#timer)
    for (const client of this.#idle.splice(0)) client.close()
  }

  #takeIdle(): DaemonClient | undefined {
    for (;;) {
      const client = this.#idle.pop()
      if (client === undefined || client.usable) return client
      client.close()
    }
  }

  /** Waits until fewer connections are in use than the pool may have. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    this.#checkOpen()
    if (this.#taken < this.#size) {
      this.#taken++
      return
    }
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.#turns.splice(this.#turns.indexOf(turn), 1)
        reject(abortedError(signal as AbortSignal))
      }
      const turn: Turn = {
        take: () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', abort)
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#turns.push(turn)
    })
  }

  /** Hands the turn that has come free to who waits longest. */
  #giveTurn(): void {
    const next = this.#turns.shift()
    if (next === undefined) this.#taken--
    else next.take()
  }

  #checkOpen(): void {
    if (this.#closed) throw closedError()
  }
}

function closedError(): DaemonUnavailableError {
  return new DaemonUnavailableError('the connections to the Nix daemon were closed')
}
