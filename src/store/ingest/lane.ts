import { createHash } from 'node:crypto'
import type { DeflatePool } from '../../git/deflate/pool.ts'
import type { Oid } from '../../git/oid.ts'
import type { FinishedPack } from '../../git/pack/finish.ts'
import { PackWriter, type PackWriterOptions } from '../../git/pack/writer.ts'
import { formatHash } from '../../nix/hash.ts'
import { NarReader } from '../../nix/nar/reader.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { reclaim } from '../../util/reclaim.ts'
import { Turns } from '../../util/turns.ts'
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
  /** Lanes at work at the same time: what one of them writes, the others need not. */
  siblings: () => readonly Lane[]
}

/** A package whose contents are verified and written, but perhaps not yet in a completed pack. */
export interface StoredTree {
  readonly tree: Oid
  /** Resolves when the packs that hold the contents are complete. */
  readonly durable: Promise<void>
}

/** A pack that is being written, or completed. */
interface OpenPack {
  readonly writer: PackWriter
  readonly begun: number
  readonly durable: PromiseWithResolvers<void>
}

/**
 * Writes packages one after the other into packs of its own; several lanes work side by side. An object that another lane has
 * in its pack already is not written again: the package is durable when that pack is, too, and should the package
 * that the object was written for fail, it stays in the other pack all the same.
 */
export class Lane {
  readonly #options: LaneOptions
  #pack: OpenPack | undefined
  #completing: OpenPack | undefined
  #aborted: Error | undefined
  /** Packs of other lanes that the package under way relies on. */
  #borrowed = new Set<Promise<void>>()

  constructor(options: LaneOptions) {
    this.#options = options
  }

  /**
   * Reads a NAR to its end, verifies it and writes its contents. On failure nothing of it stays in the pack.
   *
   * @throws NarMismatchError, NarFormatError, whatever the source throws
   */
  async store(info: PathInfo, nar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<StoredTree> {
    const pack = this.#pack ?? (await this.#open())
    this.#pack = pack
    const { writer } = pack
    this.#borrowed = new Set([pack.durable.promise])
    const mark = await writer.mark()
    try {
      const tree = await readNar(info, nar, writer, signal)
      const durable = Promise.all(this.#borrowed).then(() => {})
      // Nobody may be waiting when the session is aborted.
      durable.catch(() => {})
      if (writer.size >= PACK_BYTES || performance.now() - pack.begun >= PACK_MILLISECONDS)
        await this.complete()
      return { tree, durable }
    } catch (error) {
      if (this.#pack === pack) await writer.rollback(mark)
      throw error
    }
  }

  /**
   * Has this lane's pack keep an object for another lane's package, if it is to hold it at all.
   *
   * @returns what resolves when the pack is complete
   */
  lend(oid: Oid): Promise<void> | undefined {
    for (const pack of [this.#pack, this.#completing]) {
      if (pack?.writer.lend(oid) === true) return pack.durable.promise
    }
    return undefined
  }

  /** Completes the pack under way, so that all packages of this lane are durable. */
  async complete(): Promise<void> {
    const pack = this.#pack
    if (pack === undefined) return
    this.#pack = undefined
    this.#completing = pack
    try {
      const finished = await pack.writer.finish(this.#options.packDir, this.#options.spliceDir)
      if (finished !== undefined) await this.#options.onPack(finished)
      pack.durable.resolve()
    } catch (error) {
      pack.durable.reject(error)
      throw error
    } finally {
      this.#completing = undefined
    }
  }

  /** Gives up the pack under way; the lane stores nothing any more. */
  async abort(reason: Error): Promise<void> {
    this.#aborted ??= reason
    const pack = this.#pack
    this.#pack = undefined
    pack?.durable.reject(reason)
    await pack?.writer.abort()
  }

  async #open(): Promise<OpenPack> {
    if (this.#aborted !== undefined) throw this.#aborted
    const begun = performance.now()
    const has = (oid: Oid) => this.#options.has(oid) || this.#borrow(oid)
    const writer = await PackWriter.create({ ...this.#options, has })
    if (this.#aborted === undefined) {
      const durable = Promise.withResolvers<void>()
      durable.promise.catch(() => {})
      return { writer, begun, durable }
    }
    await writer.abort()
    throw this.#aborted
  }

  #borrow(oid: Oid): boolean {
    for (const lane of this.#options.siblings()) {
      const durable = lane === this ? undefined : lane.lend(oid)
      if (durable === undefined) continue
      this.#borrowed.add(durable)
      return true
    }
    return false
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
  const turns = new Turns(signal)
  const isOver = () => turns.over
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
    for (let at = 0; at < chunk.length; ) {
      at += reader.push(chunk.subarray(at), isOver)
      if (reader.done && at < chunk.length) {
        throw new NarMismatchError(
          info.storePath,
          'a size of',
          String(info.narSize),
          `${reader.position} and more data after it`,
        )
      }
      const pause = turns.next()
      if (pause !== undefined) await pause
    }
    reclaim(chunk.length)
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
