/** Where objects lie, and what is said of those that cannot be read there. */
import type { LooseObjects } from './loose.ts'
import {
  CorruptObjectError,
  CorruptPackError,
  CorruptPackIndexError,
  MalformedObjectError,
  PackGoneError,
} from './object-errors.ts'
import type { GitObjectType, Oid } from './oid.ts'
import type { Pack } from './pack/pack.ts'

/** An object in a pack. */
export interface PackedLocation {
  readonly kind: 'pack'
  readonly pack: Pack
  /** Position in the pack's index. */
  readonly position: number
  /** Where the entry begins in the pack. */
  readonly offset: number
}

/** An object in a file of its own. */
export interface LooseLocation {
  readonly kind: 'loose'
  readonly path: string
  readonly objects: LooseObjects
}

export type ObjectLocation = PackedLocation | LooseLocation

/** Where the zlib stream of an object lies that is in a pack as it is, not as a delta. */
export interface DeflatedLocation {
  readonly pack: Pack
  /** Position in the pack's index. */
  readonly position: number
  readonly type: GitObjectType
  /** Length of the inflated object. */
  readonly size: number
  readonly dataOffset: number
  /** Length of the zlib stream: to the next entry, or to the pack's checksum. */
  readonly dataLength: number
}

/** What an object can be in. */
export type Place = Pack | LooseObjects

/** Passes pieces on; what goes wrong among them is said of the object. */
export async function* named(
  chunks: AsyncIterable<Buffer>,
  oid: Oid,
  location: ObjectLocation,
): AsyncGenerator<Buffer> {
  try {
    yield* chunks
  } catch (error) {
    throw isDamage(error) ? damagedObject(error, oid, location) : error
  }
}

export function isDamage(error: unknown): error is Error {
  return (
    error instanceof MalformedObjectError ||
    error instanceof CorruptPackError ||
    error instanceof CorruptPackIndexError
  )
}

export function isGone(error: unknown): boolean {
  return error instanceof PackGoneError || (error as NodeJS.ErrnoException | null)?.code === 'ENOENT'
}

export function damagedObject(error: Error, oid: Oid, location: ObjectLocation): CorruptObjectError {
  const problem = error instanceof CorruptPackError ? error.problem : error.message
  return new CorruptObjectError(oid, nameOf(location), problem, { cause: error })
}

export function placeOf(location: ObjectLocation): Place {
  return location.kind === 'pack' ? location.pack : location.objects
}

export function nameOf(location: ObjectLocation | undefined): string {
  if (location === undefined) return 'the repository'
  return location.kind === 'pack' ? `pack ${location.pack.path}` : `file ${location.path}`
}
