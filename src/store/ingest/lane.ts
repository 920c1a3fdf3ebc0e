import { createHash } from 'node:crypto'
import type { DeflatePool } from '../../git/deflate/pool.ts'
import type { Oid } from '../../git/oid.ts'
import type { FinishedPack } from '../../git/pack/finish.ts'
import { PackWriter, type PackWriterOptions } from '../../git/pack/writer.ts'
import { formatHash } from '../../nix/hash.ts'
import { NarReader } from '../../nix/nar/reader.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { TreeBuilder } from '../tree-builder.ts'
import { NarMismatchError } from './errors.ts'

/** A pack is completed at this size, so that a session that is killed loses little. */
const PACK_BYTES = 64 * 1024 * 1024
/** ... or after this time, for the same reason. */
const PACK_MILLISECONDS = 10_000

/** Where a lane's packs go. */
export interface LaneOptions extends Omit<PackWriterOptions, 'pool'> {
  pool: DeflatePool
  packDir: string
  spliceDir: string
  /** A pack is complete and in place; its objects must be found from now on. */
  onPack: (pack: FinishedPack) => Promise<void>
}

/** A package whose contents are verified and written, but perhaps not yet in a completed pack. */
export interface StoredTree {
  readonly tree: Oid
  /** Resolves when the pack that holds the contents is complete. */
  readonly durable: Promise<void>
}

/** Writes packages one after the other into packs of its own; several lanes work side by side. */
export class Lane {
  readonly #options: LaneOptions
  #writer: PackWriter | undefined
  #begun = 0
  #aborted: Error | undefined
  #durable: PromiseWithResolvers<void> | undefined

  constructor(options: LaneOptions) {
    this.#options = options
  }

  /**
   * Reads a NAR to its end, verifies it and writes its contents. On failure nothing of it stays in the pack.
   *
   * @throws NarMismatchError, NarFormatError, whatever the source throws
   */
  async store(info: PathInfo, nar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredTree> {
    const writer = this.#writer ?? (await this.#open())
    this.#writer = writer
    this.#durable ??= Promise.withResolvers()
    const { promise: durable } = this.#durable
    // Nobody may be waiting when the session is aborted.
    durable.catch(() => {})
    const mark = await writer.mark()
    try {
      const tree = await readNar(info, nar, writer, signal)
      if (writer.size >= PACK_BYTES || performance.now() - this.#begun >= PACK_MILLISECONDS)
        await this.complete()
      return { tree, durable }
    } catch (error) {
      if (this.#writer === writer) await writer.rollback(mark)
      throw error
    }
  }

  /** Completes the pack under way, so that all packages of this lane are durable. */
  async complete(): Promise<void> {
    const writer = this.#writer
    const durable = this.#durable
    this.#writer = undefined
    this.#durable = undefined
    if (writer === undefined || durable === undefined) return
    try {
      const pack = await writer.finish(this.#options.packDir, this.#options.spliceDir)
      if (pack !== undefined) await this.#options.onPack(pack)
      durable.resolve()
    } catch (error) {
      durable.reject(error)
      throw error
    }
  }

  /** Gives up the pack under way; the lane stores nothing any more. */
  async abort(reason: Error): Promise<void> {
    this.#aborted ??= reason
    const writer = this.#writer
    this.#writer = undefined
    this.#durable?.reject(reason)
    this.#durable = undefined
    await writer?.abort()
  }

  async #open(): Promise<PackWriter> {
    if (this.#aborted !== undefined) throw this.#aborted
    this.#begun = performance.now()
    const writer = await PackWriter.create(this.#options)
    if (this.#aborted === undefined) return writer
    await writer.abort()
    throw this.#aborted
  }
}

async function readNar(
  info: PathInfo,
  nar: AsyncIterable<Uint8Array>,
  writer: PackWriter,
  signal?: AbortSignal,
): Promise<Oid> {
  const hash = createHash('sha256')
  const builder = new TreeBuilder(writer)
  const reader = new NarReader(builder, { maxSize: info.narSize })
  let size = 0
  for await (const chunk of nar) {
    signal?.throwIfAborted()
    size += chunk.length
    if (size > info.narSize) {
      throw new NarMismatchError(
        info.storePath,
        'a size of',
        String(info.narSize),
        `more than ${info.narSize}`,
      )
    }
    hash.update(chunk)
    const consumed = reader.push(chunk)
    if (consumed < chunk.length) {
      throw new NarMismatchError(
        info.storePath,
        'a size of',
        String(info.narSize),
        `${reader.position} and more data after it`,
      )
    }
    await writer.ready()
  }
  reader.finish()
  if (size !== info.narSize) {
    throw new NarMismatchError(info.storePath, 'a size of', String(info.narSize), String(size))
  }
  const actual = { algorithm: 'sha256', digest: hash.digest() } as const
  const [expectedText, actualText] = [formatHash(info.narHash, 'nix32'), formatHash(actual, 'nix32')]
  if (expectedText !== actualText)
    throw new NarMismatchError(info.storePath, 'the hash', expectedText, actualText)
  return builder.root
}
