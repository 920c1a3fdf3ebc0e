/** Inflating the entries of a pack whose compressed lengths nobody has told. */
import { release } from '../../util/release.ts'
import type { DecoderStep } from '../decoder.ts'
import { ZLIB_HEADER } from '../deflate/chunk.ts'
import { STREAM_CHUNK_SIZE } from '../inflate.ts'
import { createSmallInflater } from '../small-inflate.ts'
import {
  ADLER_LENGTH,
  CANONICAL_END,
  FLUSH_LENGTH,
  isNonce,
  NONCE_LENGTH,
  PROBE_LENGTH,
  writeProbe,
} from './receive-canonical.ts'
import { damaged, PackInvalidError, wrongLength } from './receive-errors.ts'
import type { PackInput } from './receive-input.ts'
import { createLargeInflater } from './receive-large.ts'

/** Places that look like the end but are not, after which it is no longer looked for: each costs a step of its own. */
const MAX_FALSE_ENDS = 64
/** What follows a canonical stream's flush. */
const END_LENGTH = CANONICAL_END.length + ADLER_LENGTH

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
    this.#probe = Buffer.allocUnsafeSlow(compressedBound(maxSize) + PROBE_LENGTH)
    this.#content = Buffer.allocUnsafeSlow(maxSize + NONCE_LENGTH + 1)
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

  /** Gives the memory back. */
  close(): void {
    release(this.#probe)
    release(this.#content)
  }

  #canonical(raw: Buffer, size: number): SmallContent | undefined {
    if (size === 0 || raw[0] !== ZLIB_HEADER[0] || raw[1] !== ZLIB_HEADER[1]) return undefined
    const end = raw.subarray(0, compressedBound(size)).indexOf(CANONICAL_END, ZLIB_HEADER.length)
    const adlerAt = end + CANONICAL_END.length
    if (end < 0 || adlerAt + ADLER_LENGTH > raw.length) return undefined
    const body = raw.copy(this.#probe, 0, 0, end + FLUSH_LENGTH)
    if (!writeProbe(this.#probe, body, raw.readUInt32BE(adlerAt))) return undefined
    const length = body + PROBE_LENGTH
    const found = this.#attempt(this.#probe.subarray(0, length), size + NONCE_LENGTH)
    if (found?.used !== length || found.produced !== size + NONCE_LENGTH) return undefined
    if (!isNonce(this.#content.subarray(size, size + NONCE_LENGTH))) return undefined
    return { data: this.#content.subarray(0, size), length: adlerAt + ADLER_LENGTH, canonical: true }
  }

  #attempt(raw: Buffer, size: number): DecoderStep | undefined {
    try {
      return this.#inflater.inflate(raw, this.#content.subarray(0, size + 1))
    } catch {
      return undefined
    }
  }

  #any(raw: Buffer, size: number): SmallContent | undefined {
    let found: DecoderStep
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
  /** The next bytes of the content, valid during the call. They come before those of the stream that they are made of. */
  content: (bytes: Buffer) => void
}

/**
 * Inflates the zlib stream that comes next, piece by piece, and passes over it.
 *
 * @throws PackInvalidError when it is damaged or has another length, `input.cutOff()` when it is not complete
 */
export async function inflateLarge(input: PackInput, size: number, sinks: LargeSinks): Promise<LargeContent> {
  if (!(await input.fill(ZLIB_HEADER.length))) throw input.cutOff()
  const mayBeCanonical = input.available.subarray(0, ZLIB_HEADER.length).equals(ZLIB_HEADER)
  const inflater = createLargeInflater(size, sinks.content)
  try {
    let length = 0
    let falseEnds = mayBeCanonical ? 0 : MAX_FALSE_ENDS
    const pass = async (bytes: number): Promise<void> => {
      length += bytes
      await sinks.raw(input.take(bytes))
    }
    while (!inflater.done) {
      const complete = await input.fill(END_LENGTH)
      const available = input.available.subarray(0, STREAM_CHUNK_SIZE)
      if (available.length === 0) {
        if (await inflater.finish()) break
        throw input.cutOff()
      }
      const end = falseEnds < MAX_FALSE_ENDS ? available.indexOf(CANONICAL_END) : -1
      // The last bytes may be the beginning of an end.
      const feed =
        end >= 0
          ? end + FLUSH_LENGTH
          : complete
            ? available.length - CANONICAL_END.length + 1
            : available.length
      await pass(await inflater.push(available.subarray(0, feed)))
      if (end < 0 || inflater.done) continue
      if (inflater.produced !== size) {
        falseEnds++
        continue
      }
      const rest = END_LENGTH - FLUSH_LENGTH
      if (!(await input.fill(rest))) throw input.cutOff()
      if (!(await inflater.endsHere(input.available.readUInt32BE(rest - ADLER_LENGTH))))
        throw new PackInvalidError('an entry has content after its end, or another Adler-32 than it names')
      await pass(rest)
      return { length, canonical: true }
    }
    if (inflater.produced !== size) throw wrongLength(size)
    return { length, canonical: false }
  } finally {
    inflater.close()
  }
}
