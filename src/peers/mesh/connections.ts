/** Turns what the swarm tells into what the book knows, and the book's wishes into dials. */
import type { Logger } from '../../util/log.ts'
import type { BackoffInit } from '../book/backoff.ts'
import { backoff } from '../book/backoff.ts'
import type { PeerBook } from '../book/book.ts'
import type { PeerRecord } from '../book/record.ts'
import { addAddresses, preferAddress } from '../book/record.ts'
import { Redialler } from '../book/redialler.ts'
import { PeerUnreachableError } from '../errors.ts'
import type { ConnectedPeer, Swarm } from '../swarm/swarm.ts'
import type { MeshAdmission } from './admission.ts'
import { isLoopback, usableAddresses } from './peer-exchange.ts'

export interface ConnectionsComponents {
  readonly book: PeerBook
  readonly swarm: Swarm
  readonly admission: MeshAdmission
  readonly logger: Logger
  readonly redial?: BackoffInit
}

export class Connections {
  readonly redialler: Redialler
  readonly #components: ConnectionsComponents

  constructor(components: ConnectionsComponents) {
    this.#components = components
    const { book, logger, admission, redial } = components
    this.redialler = new Redialler(
      {
        book,
        logger,
        connect: (record, signal) => this.#connect(record, signal),
        allowed: (id) => admission.admits(id),
      },
      redial,
    )
  }

  connected({ id, addresses, remote, dialled }: ConnectedPeer): PeerRecord {
    const { book, logger } = this.#components
    const record = book.learn(id, [])
    addAddresses(record, usableAddresses(addresses, isLoopback(remote)))
    if (dialled) preferAddress(record, remote)
    record.state = 'connected'
    record.lastSeen = Date.now()
    record.failures = 0
    delete record.failure
    logger.info({ peer: record.name ?? id, address: remote, dialled }, 'connected to a peer')
    return record
  }

  disconnected(id: string): void {
    const { book, logger, redial } = this.#components
    const record = book.get(id)
    if (record === undefined) return
    record.state = book.isBanned(id) ? 'banned' : 'waiting'
    record.lastSeen = Date.now()
    record.failure = record.state === 'banned' ? record.offence! : 'the connection was closed'
    // Not at once: whoever closed it may have had a reason, and both sides see it at the same moment.
    record.retryAt = Date.now() + backoff(1, redial)
    delete record.latency
    logger.info({ peer: record.name ?? id }, 'lost the connection to a peer')
  }

  /** Tries the addresses of a peer one after the other. */
  async #connect(record: PeerRecord, signal: AbortSignal): Promise<void> {
    const { swarm, admission, book } = this.#components
    const failures: string[] = []
    for (const address of [...record.addresses]) {
      signal.throwIfAborted()
      if (record.state === 'connected') return
      const { id } = record
      try {
        const dial = () => swarm.connect({ address, ...(id !== undefined && { id }) }, { signal })
        const found = id === undefined ? await admission.meeting(dial) : await dial()
        if (id === undefined) await this.#met(record, found, address)
        return
      } catch (error) {
        if (!(error instanceof PeerUnreachableError)) throw error
        failures.push(error.message)
      }
    }
    if (record.id !== undefined && book.get(record.id)?.state === 'connected') return
    throw new PeerUnreachableError(failures.join('; '))
  }

  /** It is known now who is at an address: the same is expected there from now on. */
  async #met(record: PeerRecord, id: string, address: string): Promise<void> {
    const { book } = this.#components
    const known = book.identify(record, id, address)
    known.state = 'connected'
    await book.save()
  }
}
