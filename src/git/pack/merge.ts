/**
 * Merging packs by copying their entries as they are: nothing is inflated, so that every object keeps the very bytes that
 * it is served with.
 */
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { inTurns, Turns } from '../../util/turns.ts'
import { CorruptPackError, CorruptPackIndexError, UnmergeablePackError } from '../object-errors.ts'
import type { SpliceRecord } from '../splice/record.ts'
import { CopyOutput, CopySource, copyEntry } from './copy.ts'
import { type FinishedPack, finishSortedPack } from './finish.ts'
import { isDelta } from './format.ts'
import { type LeaveOut, MergePlan } from './merge-plan.ts'
import type { Pack } from './pack.ts'

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
    const turns = new Turns(signal)
    for (const position of await inTurns(pack.index.orderingSteps(), turns)) {
      const pause = turns.next()
      if (pause !== undefined) await pause
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
  using output = new CopyOutput(file)
  for (const [number, pack] of plan.packs.entries()) {
    using source = new CopySource(pack)
    await reading(pack, () => copyEntries(plan, number, source, output, signal))
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
  source: CopySource,
  output: CopyOutput,
  signal: AbortSignal | undefined,
): Promise<void> {
  const pack = plan.packs[number]!
  const turns = new Turns(signal)
  for (const position of await inTurns(pack.index.orderingSteps(), turns)) {
    const pause = turns.next()
    if (pause !== undefined) await pause
    const row = plan.rowOf(number, position)
    if (row === undefined) continue
    plan.place(row, output.position)
    await copyEntry(pack, position, source, output, signal)
  }
}
