import type { ObjectDatabase } from '../git/object-database.ts'
import { CorruptObjectError, PackGoneError } from '../git/object-errors.ts'
import type { Pack } from '../git/pack/pack.ts'
import type { BlobPlaces } from './blob-places.ts'
import type { BodyWriter } from './body-writer.ts'
import type { PackGather } from './pack-gather.ts'
import type { NarPlan, Strings } from './plan.ts'

/** How often a blob is looked for again whose pack was removed by another process. */
const MAX_LOOKED_AGAIN = 2

/** State of one reading of a body. */
export interface Reading {
  readonly database: ObjectDatabase
  readonly plan: NarPlan
  readonly places: BlobPlaces
  readonly out: BodyWriter
  readonly gather: PackGather
  readonly signal: AbortSignal | undefined
  /** To be told when the plan turns out not to describe the packs any more. */
  readonly onStale: () => void
}

/**
 * The pack that has a blob as the plan has it, held open for the reading that follows; `undefined` when no pack has. A pack that
 * another process has removed is looked for again, which takes a while.
 */
export function holdPack(reading: Reading, file: number): Pack | undefined | Promise<Pack | undefined> {
  try {
    return hold(reading, file)
  } catch (error) {
    if (error instanceof PackGoneError) return holdAgain(reading, file)
    throw error
  }
}

function hold({ places, gather }: Reading, file: number): Pack | undefined {
  const pack = places.find(file)
  if (pack !== undefined) gather.hold(pack)
  return pack
}

async function holdAgain(reading: Reading, file: number): Promise<Pack | undefined> {
  for (let attempt = 1; ; attempt++) {
    await reading.database.refresh()
    reading.places.forget()
    try {
      return hold(reading, file)
    } catch (error) {
      if (!(error instanceof PackGoneError) || attempt === MAX_LOOKED_AGAIN) throw error
    }
  }
}

/** A plan no longer describes the packs: they were rewritten between its making and this read. */
export function changedEntry({ plan, onStale }: Reading, file: number): CorruptObjectError {
  onStale()
  return new CorruptObjectError(
    plan.oid(file),
    'the repository',
    'its entry changed while it was being served',
  )
}

/** Writes string `index` of a list. */
export function writeString(out: BodyWriter, strings: Strings, index: number): void {
  out.write(strings.bytes, index === 0 ? 0 : strings.ends[index - 1], strings.ends[index])
}

/** The chunks that are complete. */
export function* completeChunks(out: BodyWriter): Generator<Buffer, void> {
  for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
}

/** The chunks that are left at the end. */
export function* remainingChunks(out: BodyWriter): Generator<Buffer, void> {
  yield* completeChunks(out)
  const rest = out.rest()
  if (rest !== undefined) yield rest
}
