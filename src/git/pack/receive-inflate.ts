/** Inflating the entries of a pack whose compressed lengths nobody has told. */
import { randomBytes } from 'node:crypto'
import { createInflateRaw, type InflateRaw } from 'node:zlib'
import { FINAL_BLOCK, ZLIB_HEADER } from '../deflate/chunk.ts'
import { STREAM_CHUNK_SIZE } from '../inflate.ts'
import { createSmallInflater, type Inflated } from '../small-inflate.ts'
import { adler32, adler32Combine, isAdler32 } from '../splice/adler32.ts'
import { PackInvalidError } from './receive-errors.ts'
import type { PackInput } from './receive-input.ts'

const NONCE = randomBytes(16)
const NONCE_ADLER = adler32(NONCE)
/**
 * Put in the place of a canonical stream's end: a final stored block of unpredictable bytes. Only a decoder that is at
 * a byte boundary between two blocks makes exactly these bytes of it and ends behind them, so that this proves what
 * splicing relies on. (Inside a stored block the content would be longer, inside any other it would not be the nonce.)
 */
const PROBE = Buffer.concat([Buffer.from([1, NONCE.length, 0, ~NONCE.length & 0xff, 0xff]), NONCE])
/** How every canonical stream ends, before its Adler-32: a full flush, then the empty final block. */
const CANONICAL_END = Buffer.concat([Buffer.from([0, 0, 0xff, 0xff]), FINAL_BLOCK])
const FLUSH_LENGTH = 4
/** Places that look like the end but are not, after which it is no longer looked for: each costs a turn of the pool. */
const MAX_FALSE_ENDS = 64
const ADLER_LENGTH = 4
const HEADER_LENGTH = ZLIB_HEADER.length

/** An inflated object that is small. */
export interface SmallContent {
  readonly data: Buffer
  /** Length of the zlib stream. */
  readonly length: number
  /** Whether the stream is in the canonical encoding (`deflate/chunk.ts`), proven. */
  readonly canonical: boolean
}

/** How many bytes a sound compressor takes at most for so many; a stream that takes more is inflated in pieces. */
export function compressedBound(size: number): number {
  return size + (size >>> 8) + 64
}

/** Inflates zlib streams whose lengths are not known, in memory that is used again for the next one. */
export class SmallEntries {
  readonly #inflater = createSmallInflater()
  /** A stream with another end. */
  readonly #probe: Buffer
  readonly #content: Buffer

  /** @param maxSize of the contents */
  constructor(maxSize: number) {
    this.#probe = Buffer.allocUnsafeSlow(compressedBound(maxSize) + PROBE.length + ADLER_LENGTH)
    this.#content = Buffer.allocUnsafeSlow(maxSize + NONCE.length + 1)
  }

  /**
   * Inflates the zlib stream at the beginning of `raw`.
   *
   * @param size of the content
   * @returns what is valid until the next call; `undefined` when `raw` ends before the stream
   * @throws PackInvalidError when it is damaged or has another length
   */
  inflate(raw: Buffer, size: number): SmallContent | undefined {
    return this.#canonical(raw, size) ?? this.#any(raw, size)
  }

  #canonical(raw: Buffer, size: number): SmallContent | undefined {
    if (size === 0 || raw[0] !== ZLIB_HEADER[0] || raw[1] !== ZLIB_HEADER[1]) return undefined
    const end = raw.subarray(0, compressedBound(size)).indexOf(CANONICAL_END, HEADER_LENGTH)
    const adlerAt = end + CANONICAL_END.length
    if (end < 0 || adlerAt + ADLER_LENGTH > raw.length) return undefined
    const body = raw.copy(this.#probe, 0, 0, end + FLUSH_LENGTH)
    PROBE.copy(this.#probe, body)
    const ownAdler = raw.readUInt32BE(adlerAt)
    if (!isAdler32(ownAdler)) return undefined
    // zlib compares the checksum of content and nonce: it is right when the stream's own is.
    const adler = adler32Combine(ownAdler, NONCE_ADLER, NONCE.length)
    const length = this.#probe.writeUInt32BE(adler, body + PROBE.length)
    const found = this.#attempt(this.#probe.subarray(0, length), size + NONCE.length)
    if (found?.used !== length || found.produced !== size + NONCE.length) return undefined
    if (!this.#content.subarray(size, size + NONCE.length).equals(NONCE)) return undefined
    return { data: this.#content.subarray(0, size), length: adlerAt + ADLER_LENGTH, canonical: true }
  }

  #attempt(raw: Buffer, size: number): Inflated | undefined {
    try {
      return this.#inflater.inflate(raw, this.#content.subarray(0, size + 1))
    } catch {
      return undefined
    }
  }

  #any(raw: Buffer, size: number): SmallContent | undefined {
    let found: Inflated
    try {
      found = this.#inflater.inflate(raw, this.#content.subarray(0, size + 1))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'Z_BUF_ERROR') return undefined
      if (typeof code === 'string' && code.startsWith('Z_')) throw damaged(error)
      throw error
    }
    if (found.produced !== size) throw wrongLength(size)
    return { data: this.#content.subarray(0, size), length: found.used, canonical: false }
  }
}

/** What came of inflating an entry in pieces. */
export interface LargeContent {
  /** Length of the zlib stream. */
  readonly length: number
  readonly canonical: boolean
}

/** Where the bytes of a large entry go. */
export interface LargeSinks {
  /** The next bytes of the zlib stream, valid until the promise is fulfilled. */
  raw: (bytes: Buffer) => Promise<void>
  /** The next bytes of the content, valid during the call. They come behind those of the stream that they are made of. */
  content: (bytes: Buffer) => void
}

/**
 * Inflates the zlib stream that comes next, piece by piece, off the main thread, and passes over it.
 *
 * @throws PackInvalidError when it is damaged or has another length, `input.cutOff()` when it is not complete
 */
export async function inflateLarge(input: PackInput, size: number, sinks: LargeSinks): Promise<LargeContent> {
  if (!(await input.fill(HEADER_LENGTH))) throw input.cutOff()
  const header = Buffer.from(input.take(HEADER_LENGTH))
  checkHeader(header)
  await sinks.raw(header)
  const inflater = new Inflater(size, sinks.content)
  try {
    let length = HEADER_LENGTH
    let canonical = false
    let falseEnds = 0
    const pass = async (bytes: number): Promise<void> => {
      length += bytes
      await sinks.raw(input.take(bytes))
    }
    while (!inflater.done) {
      const complete = await input.fill(CANONICAL_END.length)
      const available = input.available.subarray(0, STREAM_CHUNK_SIZE)
      if (available.length === 0) throw input.cutOff()
      const end = falseEnds < MAX_FALSE_ENDS ? available.indexOf(CANONICAL_END) : -1
      // The last bytes may be the beginning of an end.
      const feed =
        end >= 0
          ? end + FLUSH_LENGTH
          : complete
            ? available.length - CANONICAL_END.length + 1
            : available.length
      const used = await inflater.push(available.subarray(0, feed))
      await pass(used)
      if (end < 0 || inflater.done) continue
      if (inflater.produced !== size) {
        falseEnds++
        continue
      }
      if (!(await inflater.probe())) throw new PackInvalidError('an entry has content after its end')
      canonical = header.equals(ZLIB_HEADER)
      await pass(FINAL_BLOCK.length)
    }
    if (!inflater.complete) throw wrongLength(size)
    if (!(await input.fill(ADLER_LENGTH))) throw input.cutOff()
    if (input.available.readUInt32BE() !== inflater.finish())
      throw new PackInvalidError('an entry does not have the Adler-32 that it names')
    await pass(ADLER_LENGTH)
    return { length, canonical }
  } finally {
    inflater.close()
  }
}

/** A raw deflate stream that is inflated as it comes; never by more than a piece beyond the declared size. */
class Inflater {
  readonly #raw: InflateRaw = createInflateRaw({ chunkSize: STREAM_CHUNK_SIZE })
  readonly #size: number
  readonly #content: (bytes: Buffer) => void
  readonly #probed: Buffer[] = []
  #probing = false
  #error: unknown
  #wake: (() => void) | undefined
  /** A piece whose content has not been looked at: that is done while the next one is being inflated. */
  #held: Buffer | undefined
  #adler = 1
  produced = 0
  /** Whether the stream has come to its end, or failed. */
  done = false

  constructor(size: number, content: (bytes: Buffer) => void) {
    this.#size = size
    this.#content = content
    this.#raw.on('data', (chunk: Buffer) => this.#take(chunk))
    this.#raw.on('error', (error) => this.#finish(damaged(error)))
    this.#raw.on('end', () => this.#finish(undefined))
  }

  get complete(): boolean {
    return this.produced === this.#size
  }

  /** Gives it the next bytes; tells how many of them belong to the stream. */
  async push(bytes: Buffer): Promise<number> {
    const before = this.#raw.bytesWritten
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#raw.write(bytes, () => resolve())
    })
    if (this.#error !== undefined) throw this.#error
    const used = this.#raw.bytesWritten - before
    if (used < bytes.length) this.done = true
    return used
  }

  /** Whether the decoder is between two blocks, at a byte boundary. It is of no use afterwards. */
  async probe(): Promise<boolean> {
    this.#probing = true
    const used = await this.push(PROBE)
    // A stream that has ended takes no further byte.
    const after = this.done ? 0 : await this.push(Buffer.alloc(1))
    this.done = true
    return used === PROBE.length && after === 0 && Buffer.concat(this.#probed).equals(NONCE)
  }

  /** Gives the Adler-32 of the content, all of which has been passed on then. */
  finish(): number {
    if (this.#held !== undefined) this.#look(this.#held)
    this.#held = undefined
    return this.#adler
  }

  close(): void {
    this.#raw.destroy()
  }

  #take(chunk: Buffer): void {
    if (this.#probing) {
      this.#probed.push(chunk)
      return
    }
    this.produced += chunk.length
    if (this.produced > this.#size) {
      this.#finish(wrongLength(this.#size))
      this.#raw.destroy()
      return
    }
    const before = this.#held
    this.#held = chunk
    // By then the thread pool has gone on with what comes next.
    if (before !== undefined) queueMicrotask(() => this.#look(before))
  }

  #look(chunk: Buffer): void {
    this.#adler = adler32(chunk, this.#adler)
    this.#content(chunk)
  }

  #finish(error: unknown): void {
    this.#error ??= error
    this.done = true
    this.#wake?.()
  }
}

/** The two bytes of RFC 1950: method and window, no dictionary, and their check. */
function checkHeader(header: Buffer): void {
  const [method = 0, flags = 0] = header
  if ((method & 15) !== 8 || method >> 4 > 7 || (flags & 0x20) !== 0 || header.readUInt16BE() % 31 !== 0)
    throw new PackInvalidError('an entry is no zlib stream')
}

function wrongLength(size: number): PackInvalidError {
  return new PackInvalidError(`an entry that declares ${size} bytes holds more or fewer`)
}

function damaged(error: unknown): PackInvalidError {
  return new PackInvalidError('an entry does not inflate', { cause: error })
}
