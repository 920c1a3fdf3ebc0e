import { abortedError, throwIfAborted } from '../../ingest/abort.ts'
import type { RepositorySession, RepositorySource } from '../../store/api.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { SESSION_IDLE, SESSIONS_PER_SOURCE } from '../limits.ts'
import type { HealthRecord } from './health.ts'
import { openPatiently, type Patience } from './patient-session.ts'

/** Conversations with one repository, kept for a while: opening one over SSH takes longer than most questions. */
export class SessionPool {
  readonly #repository: RepositorySource
  readonly #health: HealthRecord
  readonly #patience: Patience
  readonly #idle: RepositorySession[] = []
  readonly #used = new Set<RepositorySession>()
  readonly #waiting: Array<() => void> = []
  #taken = 0
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(repository: RepositorySource, health: HealthRecord, patience: Patience) {
    this.#repository = repository
    this.#patience = patience
    this.#health = health
  }

  /** Runs `work` with a session of its own. One on which something failed is not used again. */
  async use<T>(work: (session: RepositorySession) => Promise<T>, options: AbortOptions): Promise<T> {
    while (this.#taken >= SESSIONS_PER_SOURCE) await this.#turn(options.signal)
    this.#taken++
    let session: RepositorySession | undefined
    let before = { received: 0, sent: 0 }
    let sound = false
    try {
      session = this.#idle.pop() ?? (await openPatiently(this.#repository, this.#patience, options))
      before = { received: session.bytesReceived, sent: session.bytesSent }
      this.#used.add(session)
      const result = await work(session)
      sound = true
      return result
    } finally {
      this.#taken--
      if (session !== undefined) {
        this.#used.delete(session)
        this.#health.bytesReceived += session.bytesReceived - before.received
        this.#health.bytesSent += session.bytesSent - before.sent
        if (sound && !this.#closed) this.#keep(session)
        else await session.close().catch(() => {})
      }
      this.#waiting.shift()?.()
    }
  }

  /** Ends all sessions; what runs on them fails. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    const sessions = [...this.#idle.splice(0), ...this.#used]
    await Promise.all(sessions.map((session) => session.close().catch(() => {})))
  }

  #keep(session: RepositorySession): void {
    this.#idle.push(session)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      for (const each of this.#idle.splice(0)) void each.close().catch(() => {})
    }, SESSION_IDLE).unref()
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const leave = () => {
      const at = this.#waiting.indexOf(resolve)
      // Whoever was called already is in the queue no more, and nobody else may lose the turn for it.
      if (at >= 0) this.#waiting.splice(at, 1)
      reject(abortedError(signal as AbortSignal))
    }
    this.#waiting.push(resolve)
    signal?.addEventListener('abort', leave, { once: true })
    await promise.finally(() => signal?.removeEventListener('abort', leave))
  }
}
