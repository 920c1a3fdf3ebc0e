/** Reading the objects of packs: whole entries, and deltas resolved over their chain. */
import { LRUCache } from 'lru-cache'
import {
  checkDeclaredSize,
  inflateExact,
  inflatePrefix,
  inflateSmall,
  inflateStream,
  SYNC_INFLATE_SIZE,
  slices,
  throwIfAborted,
} from '../inflate.ts'
import { CorruptPackError, MalformedObjectError, ObjectTooLargeError } from '../object-errors.ts'
import type { GitObjectType } from '../oid.ts'
import { Spool } from '../spool.ts'
import { applyDelta, applyDeltaStream, type DeltaBase, type DeltaHeader, readDeltaHeader } from './delta.ts'
import { isDelta } from './format.ts'
import type { Pack, PackedEntry } from './pack.ts'

/** Git writes no longer chains (`pack.depth`), so that a longer one is damage or an attack. */
export const MAX_DELTA_DEPTH = 4095

/** Entries up to this raw length are read together with their header. */
const READ_TOGETHER = 4096

export interface PackedObjectsOptions {
  /** Bytes of delta bases to keep in memory. */
  cacheSize: number
  /** Objects up to this size are held in memory while a chain is resolved; larger ones go through files. */
  memoryLimit: number
  /** The most bytes to put into one temporary file. */
  spoolLimit: number
  /** Where temporary files are made. */
  tempDir: string
}

/** Compressed bytes within which the sizes at the beginning of a delta must be found. */
const LONGEST_DELTA_START = 16 * 1024

/** An object in memory. */
export interface ObjectData {
  readonly type: GitObjectType
  /** The content. Shared with the cache of delta bases: not to be changed. */
  readonly data: Buffer
}

/** An object whose content comes in pieces. */
export interface ObjectStream {
  readonly type: GitObjectType
  readonly size: number
  /** The content in pieces of at most 256 KiB. To be read once. */
  readonly chunks: AsyncIterable<Buffer>
}

/** Bounds of one read. */
export interface PackedReadOptions {
  /** The largest object to return. */
  maxSize: number
  signal?: AbortSignal | undefined
}

/** An entry with its place and, where it is short, its raw bytes. */
export interface LoadedEntry extends PackedEntry {
  readonly offset: number
  /** Length of the compressed data. */
  readonly dataLength: number
  readonly data?: Buffer
}

/** What an object is made of. */
interface Chain {
  readonly type: GitObjectType
  /** The deltas on the way, the one that makes the object itself first. */
  readonly deltas: readonly LoadedEntry[]
  /** What the last of them builds on (without deltas the object itself): an entry, or content from the cache. */
  readonly base: LoadedEntry | Buffer
}

/**
 * Reads objects out of any number of packs, with one cache of delta bases. Memory is bounded by the cache and a few
 * times `memoryLimit` for each object that is being read.
 */
export class PackedObjects {
  readonly #options: PackedObjectsOptions
  readonly #bases: LRUCache<string, ObjectData>
  readonly #packNumbers = new WeakMap<Pack, number>()
  #lastPackNumber = 0

  constructor(options: PackedObjectsOptions) {
    this.#options = options
    this.#bases = new LRUCache({
      maxSize: options.cacheSize,
      // One huge base must not push out all the others.
      maxEntrySize: Math.max(1, Math.floor(options.cacheSize / 2)),
      sizeCalculation: ({ data }) => data.length + 256,
    })
  }

  /**
   * Type and size of the object at `offset`, without its content.
   *
   * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is damaged
   */
  header(pack: Pack, offset: number): { type: GitObjectType; size: number } {
    const { type, deltas, base } = this.#chain(pack, offset, loadEntry(pack, offset))
    const top = deltas[0]
    if (top !== undefined) return { type, size: deltaHeader(pack, top).resultSize }
    return { type, size: Buffer.isBuffer(base) ? base.length : base.size }
  }

  /**
   * The object at `offset` in memory.
   *
   * @throws ObjectTooLargeError when it is larger than `maxSize`
   * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is damaged
   */
  async read(pack: Pack, offset: number, options: PackedReadOptions): Promise<ObjectData> {
    const entry = loadEntry(pack, offset, SYNC_INFLATE_SIZE)
    if (!isDelta(entry.type) && entry.size <= Math.min(this.#options.memoryLimit, options.maxSize)) {
      return { type: entry.type, data: await this.#inflate(pack, entry) }
    }
    const chain = this.#chain(pack, offset, entry)
    const parts: Buffer[] = []
    for await (const part of this.#resolve(pack, chain, options)) parts.push(part)
    return { type: chain.type, data: parts.length === 1 ? parts[0]! : Buffer.concat(parts) }
  }

  /**
   * The object at `offset` at once; `undefined` when it is a delta, or large.
   *
   * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is damaged
   */
  readSmall(pack: Pack, offset: number, maxSize: number): ObjectData | undefined {
    const { type, size, data } = loadEntry(pack, offset, SYNC_INFLATE_SIZE)
    if (isDelta(type) || data === undefined || size > Math.min(SYNC_INFLATE_SIZE, maxSize)) return undefined
    return { type, data: inflateSmall(data, size) }
  }

  /**
   * Type of the object at `offset` at once; `undefined` when it is a delta.
   *
   * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is damaged
   */
  wholeType(pack: Pack, offset: number): GitObjectType | undefined {
    const { type } = loadEntry(pack, offset)
    return isDelta(type) ? undefined : type
  }

  /**
   * The object at `offset` piece by piece. The pack is kept open from the first piece until the loop is left.
   *
   * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is damaged; the pieces may throw the same
   */
  stream(pack: Pack, offset: number, signal?: AbortSignal): ObjectStream {
    return { ...this.header(pack, offset), chunks: this.#chunks(pack, offset, signal) }
  }

  async *#chunks(pack: Pack, offset: number, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    pack.retain()
    try {
      const chain = this.#chain(pack, offset)
      const parts = this.#resolve(pack, chain, { maxSize: Number.MAX_SAFE_INTEGER, signal })
      for await (const part of parts) {
        for await (const piece of slices(part)) {
          throwIfAborted(signal)
          yield piece
        }
      }
    } finally {
      pack.release()
    }
  }

  /** Follows the bases from the entry at `offset` down to an object, or to one that the cache has. */
  #chain(pack: Pack, offset: number, first?: LoadedEntry): Chain {
    const deltas: LoadedEntry[] = []
    const seen = new Set<number>()
    for (let at = offset; ; ) {
      const cached = this.#bases.get(this.#key(pack, at))
      if (cached !== undefined) return { type: cached.type, deltas, base: cached.data }
      const entry = at === offset && first !== undefined ? first : loadEntry(pack, at, READ_TOGETHER)
      const { type } = entry
      if (!isDelta(type)) return { type, deltas, base: entry }
      deltas.push(entry)
      seen.add(at)
      at = baseOffset(pack, entry)
      if (seen.has(at)) throw new MalformedObjectError(`its delta chain comes back to offset ${at}`)
      if (deltas.length > MAX_DELTA_DEPTH) {
        throw new MalformedObjectError(`its delta chain is longer than ${MAX_DELTA_DEPTH}`)
      }
    }
  }

  /** The content at the top of a chain: in one piece when it is small enough for memory, else in many. */
  async *#resolve(pack: Pack, chain: Chain, options: PackedReadOptions): AsyncGenerator<Buffer> {
    const { signal, maxSize } = options
    const { memoryLimit } = this.#options
    const { deltas, base, type } = chain
    if (deltas.length === 0) {
      const size = Buffer.isBuffer(base) ? base.length : base.size
      checkSize(size, maxSize)
      if (Buffer.isBuffer(base)) yield base
      else if (size <= memoryLimit) yield await this.#inflate(pack, base)
      else yield* inflateEntry(pack, base, signal)
      return
    }
    let content = Buffer.isBuffer(base) ? base : await this.#base(pack, base, type, signal)
    try {
      for (const [rank, entry] of [...deltas.entries()].reverse()) {
        throwIfAborted(signal)
        const delta = entry.size <= memoryLimit ? await this.#inflate(pack, entry) : undefined
        const { resultSize } = delta === undefined ? deltaHeader(pack, entry) : wholeDeltaHeader(delta)
        if (rank === 0) checkSize(resultSize, maxSize)
        if (delta !== undefined && Buffer.isBuffer(content) && resultSize <= memoryLimit) {
          content = applyDelta(content, delta, memoryLimit)
          if (rank > 0) this.#bases.set(this.#key(pack, entry.offset), { type, data: content })
          continue
        }
        const pieces = applyDeltaStream(
          Buffer.isBuffer(content) ? memoryBase(content) : content,
          delta === undefined ? inflateEntry(pack, entry, signal) : slices(delta),
        )
        if (rank === 0) {
          yield* pieces
          return
        }
        const previous: Buffer | Spool = content
        content = await this.#hold(pieces, resultSize)
        if (previous instanceof Spool) previous.close()
      }
      if (Buffer.isBuffer(content)) yield content
    } finally {
      if (content instanceof Spool) content.close()
    }
  }

  async #base(
    pack: Pack,
    entry: LoadedEntry,
    type: GitObjectType,
    signal: AbortSignal | undefined,
  ): Promise<Buffer | Spool> {
    if (entry.size > this.#options.memoryLimit)
      return this.#hold(inflateEntry(pack, entry, signal), entry.size)
    const data = await this.#inflate(pack, entry)
    this.#bases.set(this.#key(pack, entry.offset), { type, data })
    return data
  }

  /** Keeps content that comes in pieces, in memory or in a file, until the next delta has been applied to it. */
  async #hold(pieces: AsyncIterable<Buffer>, size: number): Promise<Buffer | Spool> {
    const { memoryLimit, spoolLimit, tempDir } = this.#options
    if (size > memoryLimit) return Spool.from(pieces, tempDir, spoolLimit)
    return collect(pieces)
  }

  /** Inflates an entry of at most `memoryLimit` bytes. */
  #inflate(pack: Pack, entry: LoadedEntry): Buffer | Promise<Buffer> {
    if (entry.data !== undefined) return inflateExact(entry.data, entry.size)
    // Far more compressed than plain bytes: legal, but not to be taken into memory.
    if (entry.dataLength > 2 * this.#options.memoryLimit) return collect(inflateEntry(pack, entry))
    return readAndInflate(pack, entry)
  }

  #key(pack: Pack, offset: number): string {
    let number = this.#packNumbers.get(pack)
    if (number === undefined) {
      number = ++this.#lastPackNumber
      this.#packNumbers.set(pack, number)
    }
    return `${number}:${offset}`
  }
}

/**
 * Reads an entry's header and, where the whole entry has at most `together` bytes, its data with it.
 *
 * @throws CorruptPackError, CorruptPackIndexError, MalformedObjectError when it is no sound entry
 */
export function loadEntry(pack: Pack, offset: number, together = 0): LoadedEntry {
  const length = pack.index.lengthFrom(offset)
  const raw = length <= together ? Buffer.allocUnsafe(length) : undefined
  if (raw !== undefined && pack.readSync(raw, offset) < length)
    throw new CorruptPackError(`${pack.path} is cut off`)
  const entry = raw === undefined ? pack.entryHeader(offset) : pack.parseEntry(raw, offset)
  const headerLength = entry.dataOffset - offset
  const dataLength = length - headerLength
  if (dataLength <= 0) throw new MalformedObjectError('its entry ends within its header')
  checkDeclaredSize(entry.size, dataLength)
  if (raw === undefined) return { ...entry, offset, dataLength }
  return { ...entry, offset, dataLength, data: raw.subarray(headerLength) }
}

function baseOffset(pack: Pack, { base }: LoadedEntry): number {
  if (typeof base === 'number') return base
  const position = base === undefined ? -1 : pack.index.find(base)
  if (position < 0) throw new MalformedObjectError(`the base ${base} of its delta is not in the same pack`)
  return pack.index.offsetAt(position)
}

/** The sizes that a delta declares, found by inflating no more of it than needed. */
function deltaHeader(pack: Pack, entry: LoadedEntry): DeltaHeader {
  for (let length = 64; ; length *= 16) {
    const part = Buffer.allocUnsafe(Math.min(length, entry.dataLength))
    if (entry.data !== undefined) entry.data.copy(part)
    else if (pack.readSync(part, entry.dataOffset) < part.length)
      throw new CorruptPackError(`${pack.path} is cut off`)
    const header = readDeltaHeader(inflatePrefix(part))
    if (header !== undefined) return header
    // No compressor takes so many bytes for so few; and what more of them could inflate to has no bound.
    if (part.length === entry.dataLength || length >= LONGEST_DELTA_START) {
      throw new MalformedObjectError('its delta has no sizes')
    }
  }
}

function wholeDeltaHeader(delta: Buffer): DeltaHeader {
  const header = readDeltaHeader(delta)
  if (header === undefined) throw new MalformedObjectError('its delta is cut off')
  return header
}

function checkSize(size: number, maxSize: number): void {
  if (size > maxSize) throw new ObjectTooLargeError('an object', size, maxSize)
}

function inflateEntry(pack: Pack, entry: LoadedEntry, signal?: AbortSignal): AsyncGenerator<Buffer> {
  return inflateStream(pack.readRange(entry.dataOffset, entry.dataLength), entry.size, signal)
}

async function readAndInflate(pack: Pack, entry: LoadedEntry): Promise<Buffer> {
  const raw = Buffer.allocUnsafe(entry.dataLength)
  const count = await pack.readAt(raw, entry.dataOffset)
  return inflateExact(raw.subarray(0, count), entry.size)
}

async function collect(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts)
}

function memoryBase(base: Buffer): DeltaBase {
  return {
    size: base.length,
    readInto: (target, position) => void base.copy(target, 0, position, position + target.length),
  }
}
