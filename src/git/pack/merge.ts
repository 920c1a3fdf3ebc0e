/**
 * Merging packs by copying their entries as they are: nothing is inflated, so that every object keeps the very bytes that
 * it is served with.
 */
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { writeFully } from '../durable-file.ts'
import { throwIfAborted } from '../inflate.ts'
import { CorruptPackError, CorruptPackIndexError, UnmergeablePackError } from '../object-errors.ts'
import type { SpliceRecord } from '../splice/record.ts'
import { type FinishedPack, finishSortedPack } from './finish.ts'
import { isDelta, MAX_ENTRY_HEADER_BYTES, PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from './format.ts'
import { type LeaveOut, MergePlan } from './merge-plan.ts'
import type { Pack } from './pack.ts'

/** Bytes in one read or write. */
const BUFFER_SIZE = 1024 * 1024
/** Entries between pauses in which other work gets its turn. */
const ENTRIES_A_TURN = 256
/** How much later than its newest source a merged pack is dated, in milliseconds: enough to come before it. */
const DATED_LATER = 0.01

export interface MergeOptions {
  /** Where the unfinished pack lies; on the file system of the repository. */
  tmpDir: string
  /** The repository's `objects/pack`. */
  packDir: string
  /** Where splice sidecars lie. */
  spliceDir: string
  /** What is known for splicing of the object at a position of a pack's index. */
  recordOf: (pack: Pack, position: number) => SpliceRecord
  /** Entries that need not be copied, as another pack has the object too. By default all are. */
  leaveOut?: LeaveOut
  signal?: AbortSignal | undefined
}

/** What came of a merge. */
export interface MergeResult {
  /** The new pack; `undefined` when none was needed, because what stays has all objects. */
  readonly written: FinishedPack | undefined
  /** Those of the given packs whose objects are all in other packs now. */
  readonly superseded: readonly Pack[]
}

/**
 * Whether any entry of a pack is a delta. Such packs are not merged: the base of a delta must lie in the same pack, most
 * often at a distance that the delta names, while of an object that several packs have only one copy goes on.
 *
 * @throws UnmergeablePackError when the pack is damaged
 */
export async function containsDeltas(pack: Pack, signal?: AbortSignal): Promise<boolean> {
  return await reading(pack, async () => {
    let turn = 0
    for (const position of pack.index.packOrder()) {
      if (turn++ % ENTRIES_A_TURN === 0) {
        await setImmediate()
        throwIfAborted(signal)
      }
      if (isDelta(pack.entryHeader(pack.index.offsetAt(position)).type)) return true
    }
    return false
  })
}

/**
 * Writes one pack that holds the objects of all the given ones, each once, with their splice records. Entries come pack by
 * pack, in their order there. Every entry is compared with the CRC-32 of its index on the way. The given packs are only
 * read; they can be removed once the new one is known to all who look for objects. Where one of them has everything already, as
 * after a crash between the two, nothing is written.
 *
 * The new pack is dated just after the newest source, so that it takes its sources' place in the order of look-up. Memory
 * is 2 MiB and some 50 bytes an object.
 *
 * @param packs oldest first: of an object that several have, the copy of the last is kept
 * @throws UnmergeablePackError when a pack has deltas or is damaged
 * @throws PackGoneError when another process has removed one of them
 * @throws AbortedError; whatever is thrown, nothing is left behind
 */
export async function mergePacks(packs: readonly Pack[], options: MergeOptions): Promise<MergeResult> {
  const plan = await MergePlan.make(packs, options.leaveOut ?? (() => false), options.signal)
  const whole = plan.wholePack()
  if (plan.count === 0 || whole !== undefined)
    return { written: undefined, superseded: packs.filter((pack) => pack !== whole) }
  const written = await write(plan, options)
  return { written, superseded: packs.filter(({ path }) => path !== written.path) }
}

async function write(plan: MergePlan, options: MergeOptions): Promise<FinishedPack> {
  const { tmpDir, packDir, spliceDir, recordOf, signal } = options
  const path = join(tmpDir, `merge-${process.pid}-${crypto.randomUUID()}.tmp`)
  const file = await open(path, 'wx+', 0o600)
  try {
    const size = await copyAll(plan, file, signal)
    return await finishSortedPack({
      file,
      path,
      size,
      packDir,
      spliceDir,
      objects: plan.columns(),
      records: plan.records(recordOf),
      mtimeMs: Math.max(...plan.packs.map(({ mtimeMs }) => mtimeMs)) + DATED_LATER,
      signal,
    })
  } catch (error) {
    await file.close().catch(() => {})
    await unlink(path).catch(() => {})
    throw error
  }
}

/** Copies all rows; gives the length of the file. */
async function copyAll(plan: MergePlan, file: FileHandle, signal: AbortSignal | undefined): Promise<number> {
  const window = Buffer.allocUnsafeSlow(BUFFER_SIZE)
  const output = new Output(file)
  for (const [number, pack] of plan.packs.entries()) {
    await reading(pack, () => copyEntries(plan, number, new Source(pack, window), output, signal))
  }
  await output.flush()
  return output.position
}

/** Keeps a pack open meanwhile, and names it where it turns out to be damaged. */
async function reading<T>(pack: Pack, work: () => Promise<T>): Promise<T> {
  pack.retain()
  try {
    return await work()
  } catch (error) {
    if (error instanceof CorruptPackError || error instanceof CorruptPackIndexError)
      throw new UnmergeablePackError(pack, error.message, { cause: error })
    throw error
  } finally {
    pack.release()
  }
}

async function copyEntries(
  plan: MergePlan,
  number: number,
  source: Source,
  output: Output,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pack = plan.packs[number]!
  let turn = 0
  for (const position of pack.index.packOrder()) {
    if (turn++ % ENTRIES_A_TURN === 0) {
      await setImmediate()
      throwIfAborted(signal)
    }
    const row = plan.rowOf(number, position)
    if (row === undefined) continue
    const start = pack.index.offsetAt(position)
    const length = pack.index.lengthFrom(start)
    if (!source.has(start, Math.min(length, MAX_ENTRY_HEADER_BYTES))) await source.fill(start)
    if (isDelta(pack.parseEntry(source.at(start, length), start).type))
      throw new UnmergeablePackError(pack, `object ${pack.index.oidAt(position)} is a delta`)
    plan.place(row, output.position)
    let crc = 0
    for (let done = 0; done < length; ) {
      if (!source.has(start + done, 1)) {
        throwIfAborted(signal)
        await source.fill(start + done)
      }
      const piece = source.at(start + done, length - done)
      crc = crc32(piece, crc)
      done += piece.length
      for (let at = output.append(piece); at < piece.length; at += output.append(piece.subarray(at))) {
        await output.flush()
      }
    }
    if (crc !== pack.index.crc32At(position)) {
      throw new UnmergeablePackError(
        pack,
        `object ${pack.index.oidAt(position)} does not have the CRC-32 that the index names; check it with "git fsck"`,
      )
    }
  }
}

/** A pack that is read front to back through a window. */
class Source {
  readonly #pack: Pack
  readonly #buffer: Buffer
  #start = 0
  #length = 0

  constructor(pack: Pack, buffer: Buffer) {
    this.#pack = pack
    this.#buffer = buffer
  }

  /** Whether the window has `length` bytes from `position` on. */
  has(position: number, length: number): boolean {
    return position >= this.#start && position + length <= this.#start + this.#length
  }

  /** Moves the window to `position`. @throws CorruptPackError when the file ends there */
  async fill(position: number): Promise<void> {
    const left = this.#pack.size - PACK_TRAILER_BYTES - position
    const length = await this.#pack.readAt(this.#buffer.subarray(0, Math.min(BUFFER_SIZE, left)), position)
    if (length === 0) throw new CorruptPackError(`${this.#pack.path} is cut off`)
    this.#start = position
    this.#length = length
  }

  /** At most `length` bytes from `position` on, as far as the window has them; valid until the next `fill`. */
  at(position: number, length: number): Buffer {
    const from = position - this.#start
    return this.#buffer.subarray(from, Math.min(from + length, this.#length))
  }
}

/** The file that is written, through a buffer. */
class Output {
  readonly #file: FileHandle
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_SIZE)
  #used = 0
  #written = PACK_HEADER_BYTES

  constructor(file: FileHandle) {
    this.#file = file
  }

  /** Where the next byte goes in the file. */
  get position(): number {
    return this.#written + this.#used
  }

  /** Takes as many of the bytes as there is room for; gives their number. */
  append(bytes: Buffer): number {
    const count = bytes.copy(this.#buffer, this.#used)
    this.#used += count
    return count
  }

  async flush(): Promise<void> {
    await writeFully(this.#file, this.#buffer.subarray(0, this.#used), this.#written)
    this.#written += this.#used
    this.#used = 0
  }
}
