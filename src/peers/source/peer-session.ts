import {
  HAVE_ANSWER,
  HAVE_REQUEST,
  INVENTORY_ANSWER,
  INVENTORY_REQUEST,
  MAX_HAVE_HASHES,
  MAX_HAVE_MESSAGE,
  MAX_HAVES,
  MAX_INVENTORY_MESSAGE,
  MAX_NARINFO_MESSAGE,
  MAX_NARINFOS,
  MAX_WANTS,
  MessageError,
  MessageSplitter,
  NARINFO,
  NARINFOS_REQUEST,
  protocolId,
  WANT,
} from '../../../protocol/index.ts'
import { oidFromBytes } from '../../git/oid.ts'
import { nix32Encode } from '../../nix/base32.ts'
import type { FetchRequest, RemotePackage, RepositorySession } from '../../store/api.ts'
import { AbortedError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Throttle } from '../../util/throttle.ts'
import { PeerProtocolError, PeerUnreachableError } from '../errors.ts'
import { packHashes, packOids, unpackHashes } from '../hashes.ts'
import { ask, askTransfer, type ExchangeContext } from '../streams/exchange.ts'

export interface PeerSessionInit {
  readonly peer: string
  readonly network: string
  readonly context: ExchangeContext
  /** Limits what comes in, of all transfers together. */
  readonly download: Throttle
}

/** A conversation with a peer: every request has a stream of its own. */
export class PeerSession implements RepositorySession {
  readonly selective = true
  readonly #init: PeerSessionInit
  readonly #context: ExchangeContext
  readonly #closing = new AbortController()
  #received = 0
  #sent = 0

  constructor(init: PeerSessionInit) {
    this.#init = init
    this.#context = {
      ...init.context,
      count: (peer, received, sent) => {
        this.#received += received
        this.#sent += sent
        init.context.count(peer, received, sent)
      },
    }
  }

  get bytesReceived(): number {
    return this.#received
  }

  get bytesSent(): number {
    return this.#sent
  }

  async packages(
    hashes: readonly string[],
    options: AbortOptions = {},
  ): Promise<ReadonlyMap<string, RemotePackage>> {
    const found = new Map<string, RemotePackage>()
    for (let at = 0; at < hashes.length; at += MAX_HAVE_HASHES) {
      const asked = hashes.slice(at, at + MAX_HAVE_HASHES)
      for (const answer of await this.#have(asked, options)) found.set(answer.hash, answer)
    }
    return found
  }

  async *list(options: AbortOptions = {}): AsyncGenerator<RemotePackage, void, undefined> {
    let after: Uint8Array | undefined
    for (;;) {
      const { snapshot } = await this.#run(options, (signal) =>
        ask(
          this.#context,
          this.#init.peer,
          {
            protocol: protocolId(this.#init.network, 'inventory'),
            request: INVENTORY_REQUEST,
            answer: INVENTORY_ANSWER,
            maxAnswer: MAX_INVENTORY_MESSAGE,
          },
          { epoch: 0, snapshot: after === undefined ? {} : { after } },
          { signal },
        ),
      )
      if (snapshot === undefined) throw this.#broken('answered another question than was asked')
      const hashes = unpackHashes(snapshot.hashes)
      yield* (await this.packages(hashes, options)).values()
      if (!snapshot.more) return
      const last = snapshot.hashes.subarray(-20)
      if (after !== undefined && Buffer.compare(last, after) <= 0)
        throw this.#broken('lists its packages in circles')
      after = last
    }
  }

  /**
   * Narinfo blobs of packages (hash parts), in the order in which the peer sends them; what it lacks is left out.
   *
   * @throws what `fetch` throws
   */
  async *narinfos(
    hashes: readonly string[],
    options: AbortOptions = {},
  ): AsyncGenerator<{ hash: string; blob: Uint8Array }, void, undefined> {
    for (let at = 0; at < hashes.length; at += MAX_NARINFOS) {
      const asked = new Set(hashes.slice(at, at + MAX_NARINFOS))
      const splitter = new MessageSplitter('narinfo', MAX_NARINFO_MESSAGE)
      for await (const chunk of this.#transfer(
        'narinfos',
        NARINFOS_REQUEST,
        { hashes: packHashes([...asked]) },
        options,
      )) {
        // A copy, as the chunk is used again: messages are parts of it, and so is what is not whole yet. (`slice` of a Buffer makes none.)
        for (const message of this.#understand(() => splitter.push(new Uint8Array(chunk)))) {
          const narinfo = this.#understand(() => NARINFO.decode(message))
          const hash = nix32Encode(narinfo.hash)
          if (!asked.delete(hash)) throw this.#broken('sent a narinfo that was not asked for')
          yield { hash, blob: narinfo.blob }
        }
      }
      if (!splitter.between) throw this.#broken('ended within a narinfo')
    }
  }

  /** @throws RangeError for more wants than one request can have, 8,192 */
  async *fetch(
    request: FetchRequest,
    options: AbortOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (request.wants.length > MAX_WANTS) {
      throw new RangeError(`${request.wants.length} objects are too many for one request to a peer`)
    }
    const want = {
      wants: packOids(request.wants),
      // What is left out is only sent once more.
      haves: packOids(request.haves.slice(-MAX_HAVES)),
      omitBlobs: request.omitBlobs ?? false,
    }
    yield* this.#transfer('pack', WANT, want, options)
  }

  async close(): Promise<void> {
    this.#closing.abort()
  }

  async #have(hashes: readonly string[], options: AbortOptions): Promise<RemotePackage[]> {
    const { packages } = await this.#run(options, (signal) =>
      ask(
        this.#context,
        this.#init.peer,
        {
          protocol: protocolId(this.#init.network, 'have'),
          request: HAVE_REQUEST,
          answer: HAVE_ANSWER,
          maxAnswer: MAX_HAVE_MESSAGE,
        },
        { hashes: packHashes(hashes) },
        { signal },
      ),
    )
    const asked = new Set(hashes)
    return packages.map(({ hash, narinfo, commit }) => {
      const text = nix32Encode(hash)
      if (!asked.delete(text)) throw this.#broken('told of a package that was not asked for')
      return {
        hash: text,
        narinfo: oidFromBytes(narinfo),
        ...(commit !== undefined && { commit: oidFromBytes(commit) }),
      }
    })
  }

  async *#transfer<Q>(
    protocol: 'narinfos' | 'pack',
    request: Parameters<typeof askTransfer<Q>>[2]['request'],
    question: Q,
    options: AbortOptions,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const signal = this.#signal(options)
    const { peer, network, download: limit } = this.#init
    try {
      yield* askTransfer(
        this.#context,
        peer,
        { protocol: protocolId(network, protocol), request },
        question,
        {
          signal,
          limit,
        },
      )
    } catch (error) {
      throw this.#closing.signal.aborted ? closedError(peer) : error
    }
  }

  async #run<T>(options: AbortOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = this.#signal(options)
    try {
      return await work(signal)
    } catch (error) {
      throw this.#closing.signal.aborted ? closedError(this.#init.peer) : error
    }
  }

  #signal({ signal }: AbortOptions): AbortSignal {
    if (this.#closing.signal.aborted) throw closedError(this.#init.peer)
    if (signal?.aborted) throw new AbortedError()
    return AbortSignal.any([this.#closing.signal, this.#context.stopping, ...(signal ? [signal] : [])])
  }

  #understand<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw error instanceof MessageError ? this.#broken(error.message) : error
    }
  }

  #broken(what: string): PeerProtocolError {
    const error = new PeerProtocolError(`the peer ${this.#init.peer} broke the protocol: it ${what}`)
    this.#context.penalize(this.#init.peer, 'protocol', error.message)
    return error
  }
}

function closedError(peer: string): PeerUnreachableError {
  return new PeerUnreachableError(`the session with the peer ${peer} was closed`)
}
