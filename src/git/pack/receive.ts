/**
 * Taking in a pack from elsewhere (Git's `gitformat-pack`, version 2) in one pass: nothing that it declares is believed
 * before it is checked, and nothing is allocated or written that the limits do not cover.
 */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { SYNC_INFLATE_SIZE, throwIfAborted } from '../inflate.ts'
import { CorruptPackError, MalformedObjectError } from '../object-errors.ts'
import { createObjectHash, type GitObjectType, hashObject, type Oid } from '../oid.ts'
import { DeflateScanner } from '../splice/deflate-scanner.ts'
import { CANONICAL_TRAILER_LENGTH, NO_RECORD, type SpliceRecord } from '../splice/record.ts'
import { scannedRecord } from '../splice/scanned-record.ts'
import { MAX_DELTA_HEADER_SIZE, readDeltaHeader } from './delta.ts'
import { type FinishedPack, finishSortedPack } from './finish.ts'
import {
  decodeEntryHeader,
  decodePackHeader,
  type EntryHeader,
  encodePackHeader,
  isDelta,
  MAX_ENTRY_HEADER_BYTES,
  PACK_HEADER_BYTES,
  PACK_TRAILER_BYTES,
} from './format.ts'
import { PackOutput } from './output.ts'
import { type DeltaTools, ReceivedDeltas } from './receive-deltas.ts'
import { ReceivedEntries } from './receive-entries.ts'
import { BudgetExceededError, PackInvalidError } from './receive-errors.ts'
import { compressedBound, inflateLarge, type SmallContent, SmallEntries } from './receive-inflate.ts'
import { PackInput } from './receive-input.ts'

/** Entries up to this size, inflated, are inflated at once; larger ones in pieces. */
const SMALL_SIZE = SYNC_INFLATE_SIZE
/** Inflated bytes between pauses in which other work gets its turn. */
const BYTES_A_TURN = 1024 * 1024
const READ_SIZE = 256 * 1024
/** Ending of the files in which packs are collected; what a killed process left of them can be received again. */
export const PARTIAL_SUFFIX = '.partial'

/** Is shown the blobs of a pack in their order, while they are in memory. Those that deltas make are not among them. */
export interface BlobObserver {
  /** A small blob; the content is valid during the call. */
  blob(oid: Oid, content: Buffer): void
  /** A large blob begins, of which only the size is known. */
  begin(size: number): void
  /** Its next bytes, valid during the call. */
  content(bytes: Buffer): void
  /** It has come whole. Without this call before the next `begin` it never did. */
  end(oid: Oid): void
}

/** Bounds on one pack. Each is checked before anything of that size is allocated or written. */
export interface PackLimits {
  readonly objects: number
  /** Length of the pack. */
  readonly packBytes: number
  /** Sum of the sizes of all objects, inflated and with deltas applied; deltas themselves have as much again. */
  readonly inflatedBytes: number
}

export interface ReceiveOptions {
  limits: PackLimits
  /** Where the unfinished pack lies, as a file that ends in `PARTIAL_SUFFIX`; on the file system of `packDir`. */
  tmpDir: string
  packDir: string
  /** Where splice sidecars lie. */
  spliceDir: string
  /** Asked for when the pack has deltas, once all of it is there and `onPack` has been told of what is no delta. */
  deltaTools: () => Promise<DeltaTools>
  /** A pack is complete and in `packDir`. */
  onPack: (pack: FinishedPack) => Promise<void>
  /** Told of blobs as they come. */
  blobs?: BlobObserver | undefined
  signal?: AbortSignal | undefined
}

/**
 * Reads a pack to its end, inflates and hashes every object, applies deltas, and writes what it holds as packs without
 * deltas, each with its index and splice records.
 *
 * When the pack breaks off or turns out to be wrong, the objects that came whole before that are kept in the same way,
 * without deltas whose bases are missing; then the error is thrown.
 *
 * @throws PackInvalidError, BudgetExceededError, AbortedError, whatever the source throws
 */
export async function receivePack(
  source: AsyncIterable<Uint8Array>,
  options: ReceiveOptions,
): Promise<{ objects: number; bytes: number }> {
  const { tmpDir, limits, signal } = options
  const path = join(tmpDir, `${process.pid}-${crypto.randomUUID()}${PARTIAL_SUFFIX}`)
  const input = new PackInput(source, limits.packBytes, signal)
  const file = await open(path, 'wx+', 0o600)
  const receiver = new PackReceiver(input, file, path, options)
  try {
    let failure: { error: unknown } | undefined
    const result = await receiver.run().catch((error: unknown) => {
      failure = { error: asRefusal(error) }
      return undefined
    })
    await receiver.finish(failure !== undefined)
    if (failure !== undefined) throw failure.error
    return result!
  } finally {
    input.close()
    await receiver.close()
  }
}

class PackReceiver {
  readonly #input: PackInput
  readonly #file: FileHandle
  readonly #path: string
  readonly #options: ReceiveOptions
  readonly #out: PackOutput
  readonly #entries = new ReceivedEntries()
  readonly #deltas: ReceivedDeltas
  readonly #scanner = new DeflateScanner()
  readonly #smallEntries = new SmallEntries(SMALL_SIZE)
  #inflated = 0
  #deltaBytes = 0
  #turn = 0
  /** The pack's own checksum, once the file is known to be that pack. */
  #checksum: Buffer | undefined
  #finished = false

  constructor(input: PackInput, file: FileHandle, path: string, options: ReceiveOptions) {
    this.#input = input
    this.#file = file
    this.#path = path
    this.#options = options
    this.#out = new PackOutput(file, PACK_HEADER_BYTES)
    this.#deltas = new ReceivedDeltas({
      tmpDir: options.tmpDir,
      deltaTools: options.deltaTools,
      signal: options.signal,
      oidFrom: (origin) => this.#entries.oidFrom(origin),
    })
  }

  /** Reads the pack to its end. */
  async run(): Promise<{ objects: number; bytes: number }> {
    const input = this.#input
    if (!(await input.fill(PACK_HEADER_BYTES))) throw input.cutOff()
    const count = decodePackHeader(input.take(PACK_HEADER_BYTES))
    const { objects } = this.#options.limits
    if (count > objects) throw new BudgetExceededError('objects', count, objects)
    await this.#file.write(encodePackHeader(count), 0, PACK_HEADER_BYTES, 0)
    for (let i = 0; i < count; i++) await this.#entry()
    if (!(await input.fill(PACK_TRAILER_BYTES))) throw input.cutOff()
    const trailer = Buffer.from(input.available.subarray(0, PACK_TRAILER_BYTES))
    if (await input.fill(PACK_TRAILER_BYTES + 1)) throw new PackInvalidError('more bytes follow its end')
    if (input.failed) throw input.cutOff()
    if (!input.digest().equals(trailer))
      throw new PackInvalidError('its checksum is not that of its contents')
    if (this.#entries.count === count) this.#checksum = trailer
    return { objects: count, bytes: input.position + PACK_TRAILER_BYTES }
  }

  /**
   * Completes the pack of what came whole, and applies the deltas.
   *
   * @param broken the pack did not come to its end: deltas without their bases are left out
   */
  async finish(broken: boolean): Promise<void> {
    const { packDir, spliceDir, onPack } = this.#options
    this.#smallEntries.close()
    await this.#out.flush()
    this.#out.close()
    if (this.#entries.count > 0) {
      await this.#file.truncate(this.#out.position)
      this.#finished = true
      const pack = await finishSortedPack({
        file: this.#file,
        path: this.#path,
        size: this.#out.position,
        ...(await this.#entries.inOrder()),
        packDir,
        spliceDir,
        ...(this.#checksum && { checksum: this.#checksum }),
      })
      await onPack(pack)
    }
    // Who gave up does not wait for what deltas make.
    if (broken && this.#options.signal?.aborted) return
    await this.#deltas.resolve()
    if (!broken) this.#deltas.checkNothingLeft()
  }

  async close(): Promise<void> {
    await this.#deltas.close()
    if (!this.#finished) await this.#file.close()
    // It is still there when it did not become a pack, also for want of space.
    await rm(this.#path, { force: true })
  }

  async #entry(): Promise<void> {
    const input = this.#input
    const origin = input.position
    await input.fill(MAX_ENTRY_HEADER_BYTES)
    let header: EntryHeader
    try {
      header = decodeEntryHeader(input.available, 0, origin)
    } catch (error) {
      // A header that is cut off may be one that has not come.
      throw input.available.length < MAX_ENTRY_HEADER_BYTES && input.failed ? input.cutOff() : error
    }
    const { type, size } = header
    if (isDelta(type)) this.#spendOnDelta(size)
    else this.#spend(size)
    const small = size <= SMALL_SIZE ? await this.#small(header) : undefined
    if (isDelta(type)) await this.#delta(origin, header, small)
    else if (small === undefined) await this.#largeObject(origin, type, header)
    else this.#smallObject(origin, type, header, small)
    await this.#out.settle()
    this.#turn += size + header.headerLength
    if (this.#turn < BYTES_A_TURN) return
    this.#turn = 0
    await setImmediate()
    throwIfAborted(this.#options.signal)
  }

  /** Inflates the entry at hand at once; `undefined` when its stream is far longer than it should be. */
  async #small({ headerLength, size }: EntryHeader): Promise<SmallContent | undefined> {
    const input = this.#input
    const whole = await input.fill(headerLength + compressedBound(size))
    const small = this.#smallEntries.inflate(input.available.subarray(headerLength), size)
    if (small === undefined && !whole) throw input.cutOff()
    return small
  }

  #smallObject(
    origin: number,
    type: GitObjectType,
    { headerLength }: EntryHeader,
    small: SmallContent,
  ): void {
    const { data, length, canonical } = small
    const offset = this.#out.position
    const raw = this.#input.take(headerLength + length)
    const splice = type === 'blob' ? this.#record(raw.subarray(headerLength), data, canonical) : NO_RECORD
    const oid = hashObject(type, data)
    this.#entries.add({ oid, origin, offset, crc32: this.#out.emit(raw, 0), splice })
    if (type === 'blob') this.#options.blobs?.blob(oid, data)
  }

  #record(raw: Buffer, data: Buffer, canonical: boolean): SpliceRecord {
    if (canonical) return { kind: 'canonical', crc32: crc32(data) }
    const scanner = this.#scanner
    scanner.reset()
    scanner.push(raw)
    if (!scanner.done) return NO_RECORD
    return scannedRecord(scanner, raw.subarray(-CANONICAL_TRAILER_LENGTH), crc32(data))
  }

  async #largeObject(origin: number, type: GitObjectType, header: EntryHeader): Promise<void> {
    const out = this.#out
    const offset = out.position
    const hash = createObjectHash(type, header.size)
    let contentCrc = 0
    let entryCrc = out.emit(this.#input.take(header.headerLength), 0)
    const dataOffset = out.position
    const blobs = type === 'blob' ? this.#options.blobs : undefined
    blobs?.begin(header.size)
    try {
      const { canonical, length } = await inflateLarge(this.#input, header.size, {
        raw: async (bytes) => {
          entryCrc = out.emit(bytes, entryCrc)
          await out.settle()
        },
        content: (bytes) => {
          hash.update(bytes)
          contentCrc = crc32(bytes, contentCrc)
          blobs?.content(bytes)
        },
      })
      let splice: SpliceRecord = NO_RECORD
      if (type === 'blob') {
        splice = canonical
          ? { kind: 'canonical', crc32: contentCrc }
          : await this.#scanWritten(dataOffset, length, contentCrc)
      }
      const oid = hash.digest('hex')
      this.#entries.add({ oid, origin, offset, crc32: entryCrc, splice })
      blobs?.end(oid)
    } catch (error) {
      await out.flush()
      out.rewind(offset)
      throw error
    }
  }

  /** The splice record of a stream that is in the file already. */
  async #scanWritten(start: number, length: number, contentCrc: number): Promise<SpliceRecord> {
    await this.#out.flush()
    const scanner = this.#scanner
    scanner.reset()
    const buffer = Buffer.allocUnsafe(Math.min(READ_SIZE, length))
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, length - at), start + at)
      scanner.push(buffer.subarray(0, bytesRead))
      at += bytesRead
    }
    scanner.finish()
    const end = Buffer.alloc(CANONICAL_TRAILER_LENGTH)
    await this.#file.read(end, 0, end.length, start + length - end.length)
    return scannedRecord(scanner, end, contentCrc)
  }

  async #delta(origin: number, header: EntryHeader, small: SmallContent | undefined): Promise<void> {
    const { headerLength, size, base } = header
    const at = this.#deltas.position
    const take = (length: number): Buffer => this.#input.take(length)
    take(headerLength)
    let start: Buffer = Buffer.alloc(0)
    let length: number
    if (small !== undefined) {
      start = small.data.subarray(0, MAX_DELTA_HEADER_SIZE)
      length = small.length
      this.#spend(resultSizeOf(start))
      await this.#deltas.write(take(length))
    } else {
      const found = await inflateLarge(this.#input, size, {
        raw: (bytes) => this.#deltas.write(bytes),
        content: (bytes) => {
          if (start.length < MAX_DELTA_HEADER_SIZE)
            start = Buffer.concat([start, bytes.subarray(0, MAX_DELTA_HEADER_SIZE)])
        },
      })
      length = found.length
      this.#spend(resultSizeOf(start))
    }
    this.#deltas.add({ origin, base: base!, size, resultSize: resultSizeOf(start), at, length })
  }

  #spend(size: number): void {
    const { inflatedBytes } = this.#options.limits
    if (size > inflatedBytes - this.#inflated)
      throw new BudgetExceededError('inflated bytes', this.#inflated + size, inflatedBytes)
    this.#inflated += size
  }

  #spendOnDelta(size: number): void {
    const { inflatedBytes } = this.#options.limits
    if (size > inflatedBytes - this.#deltaBytes)
      throw new BudgetExceededError('inflated bytes of deltas', this.#deltaBytes + size, inflatedBytes)
    this.#deltaBytes += size
  }
}

function resultSizeOf(start: Buffer): number {
  const header = readDeltaHeader(start)
  if (header === undefined) throw new PackInvalidError('a delta has no sizes')
  return header.resultSize
}

/** What our own readers of the format say of it becomes the one error for packs that are refused. */
function asRefusal(error: unknown): unknown {
  if (error instanceof CorruptPackError) return new PackInvalidError(error.problem, { cause: error })
  if (error instanceof MalformedObjectError) return new PackInvalidError(error.message, { cause: error })
  return error
}
