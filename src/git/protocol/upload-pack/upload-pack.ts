import type { AbortOptions } from '../../../util/lifecycle.ts'
import type { Oid } from '../../oid.ts'
import type { SelectRequest } from '../../walk/select.ts'
import { DELIM_PKT, encodePkt, FLUSH_PKT, PktLineError, PktReader } from '../pkt-line.ts'
import { UploadPackError } from './errors.ts'
import { negotiateV0 } from './negotiate-v0.ts'
import { PacketBatch } from './packets.ts'
import { packfile, type SideBand } from './packfile.ts'
import { advertiseRefs, lsRefs } from './ref-lines.ts'
import { readWants, V0_CAPABILITIES, type V0Wants } from './request-v0.ts'
import { type FetchRequest, readV2Request } from './request-v2.ts'
import type { ServedRepository } from './served-repository.ts'

/** Common commits after which a client is told to tell of no more, in version 2: its requests repeat all of them. */
const READY_COMMONS = 65_536

/** Versions of Git's protocol. */
export type GitProtocolVersion = 0 | 1 | 2

export interface UploadPackComponents {
  readonly repository: ServedRepository
  /** Name and version of the program, for instance `gachix/1.0.0`. */
  readonly agent: string
  /** Told of failures that clients are told of in general terms only. */
  readonly onError: (error: unknown) => void
}

export interface ServeOptions extends AbortOptions {
  readonly version: GitProtocolVersion
  /** One request and its answer, as over HTTP; else the conversation on one connection, without the advertisement. */
  readonly stateless: boolean
}

/**
 * Serves a repository to those who fetch from it, over any transport. Any object of the repository may be wanted.
 */
export class UploadPack {
  readonly #repository: ServedRepository
  readonly #agent: string
  readonly #onError: (error: unknown) => void

  constructor(components: UploadPackComponents) {
    this.#repository = components.repository
    this.#agent = components.agent
    this.#onError = components.onError
  }

  /** What the server says first: its capabilities and, before version 2, all refs. */
  async *advertise(
    version: GitProtocolVersion,
    options: AbortOptions = {},
  ): AsyncGenerator<Buffer, void, undefined> {
    if (version === 2) {
      const batch = new PacketBatch()
      batch.line('version 2\n')
      batch.line(`agent=${this.#agent}\n`)
      batch.line('ls-refs=unborn\n')
      batch.line('fetch=filter wait-for-done\n')
      batch.line('object-format=sha1\n')
      batch.raw(FLUSH_PKT)
      yield batch.take()
      return
    }
    await this.#repository.refresh()
    if (version === 1) yield encodePkt('version 1\n')
    yield* advertiseRefs(this.#repository, `${V0_CAPABILITIES} agent=${this.#agent}`, options)
  }

  /**
   * Answers the requests in a stream. What is wrong with one is told to the client in an `ERR` packet, and ends the
   * answer.
   *
   * @throws AbortedError, and whatever the stream throws
   */
  async *serve(
    requests: AsyncIterable<Uint8Array>,
    options: ServeOptions,
  ): AsyncGenerator<Buffer, void, undefined> {
    const reader = new PktReader(requests)
    try {
      if (options.version === 2) yield* this.#serveV2(reader, options)
      else yield* this.#serveV0(reader, options)
    } catch (error) {
      if (!(error instanceof UploadPackError || error instanceof PktLineError)) throw error
      yield encodePkt(`ERR ${error.message}\n`)
    } finally {
      await reader.close()
    }
  }

  async *#serveV2(reader: PktReader, options: ServeOptions): AsyncGenerator<Buffer> {
    for (;;) {
      const request = await readV2Request(reader)
      if (request === undefined) return
      await this.#repository.refresh()
      if (request.command === 'ls-refs') yield* lsRefs(this.#repository, request, options)
      else yield* this.#fetch(request, options)
    }
  }

  async *#fetch(request: FetchRequest, options: AbortOptions): AsyncGenerator<Buffer> {
    const { wants, haves, done, waitForDone } = request
    this.#checkWants(wants)
    const { database } = this.#repository
    const common = haves.filter((oid) => database.has(oid))
    if (!done && (haves.length > 0 || waitForDone)) {
      const batch = new PacketBatch()
      batch.line('acknowledgments\n')
      if (common.length === 0) batch.line('NAK\n')
      for (const oid of common) batch.line(`ACK ${oid}\n`)
      // Packages that do not refer to one another share files: it is worth waiting for all that the client has.
      const ready = !waitForDone && common.length >= READY_COMMONS
      if (ready) batch.line('ready\n')
      batch.raw(ready ? DELIM_PKT : FLUSH_PKT)
      yield batch.take()
      if (!ready) return
    }
    if (wants.length === 0) return
    yield encodePkt('packfile\n')
    yield* this.#packfile(request, common, 65520, options)
  }

  async *#serveV0(reader: PktReader, options: ServeOptions): AsyncGenerator<Buffer> {
    const request = await readWants(reader)
    if (request === undefined) return
    await this.#repository.refresh()
    this.#checkWants(request.wants)
    const common = yield* negotiateV0({
      reader,
      ackMode: request.ackMode,
      has: (oid) => this.#repository.database.has(oid),
      stateless: options.stateless,
    })
    if (common !== undefined) yield* this.#packfile(request, common, request.sideBand, options)
  }

  async *#packfile(
    request: FetchRequest | V0Wants,
    haves: readonly Oid[],
    sideBand: SideBand,
    options: AbortOptions,
  ): AsyncGenerator<Buffer> {
    const { wants, filter, includeTag, progress } = request
    const selection: SelectRequest = {
      wants,
      haves,
      ...(filter !== undefined && { filter }),
      ...(includeTag && { tags: await this.#repository.tags() }),
    }
    const onError = this.#onError
    yield* packfile(this.#repository, selection, { ...options, sideBand, progress, onError })
  }

  /** @throws UploadPackError when the repository lacks one */
  #checkWants(wants: readonly Oid[]): void {
    for (const oid of wants) {
      if (!this.#repository.database.has(oid)) throw new UploadPackError(`not our ref ${oid}`)
    }
  }
}
