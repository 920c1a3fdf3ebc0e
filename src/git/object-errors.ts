import { GachixError } from '../util/errors.ts'
import type { Oid } from './oid.ts'

/** The content of a tree, commit or tag does not follow Git's format. */
export class MalformedObjectError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_GIT_MALFORMED_OBJECT', message, options)
  }
}

/** A pack file, or an entry in it, is damaged. */
export class CorruptPackError extends GachixError {
  /** What is wrong, without the way out. */
  readonly problem: string

  constructor(problem: string, options?: ErrorOptions) {
    super(
      'ERR_GIT_CORRUPT_PACK',
      `${problem}; remove the pack, then fetch or add its packages again`,
      options,
    )
    this.problem = problem
  }
}

/** A pack index is damaged, or of a version that is not read. */
export class CorruptPackIndexError extends GachixError {
  constructor(path: string, problem: string, options?: ErrorOptions) {
    super(
      'ERR_GIT_CORRUPT_INDEX',
      `pack index ${path}: ${problem}; make it anew with "git index-pack" on its pack`,
      options,
    )
  }
}

/** An object was found but its bytes do not give what was promised. Names the object and the file that holds it. */
export class CorruptObjectError extends GachixError {
  readonly oid: Oid

  constructor(oid: Oid, place: string, problem: string, options?: ErrorOptions) {
    super('ERR_GIT_CORRUPT_OBJECT', `object ${oid} in ${place} is damaged: ${problem}`, options)
    this.oid = oid
  }
}

/** The repository has no object of this id. */
export class ObjectNotFoundError extends GachixError {
  readonly oid: Oid

  constructor(oid: Oid) {
    super('ERR_GIT_OBJECT_NOT_FOUND', `object ${oid} is not in the repository`)
    this.oid = oid
  }
}

/** The object is larger than the caller wants to hold in memory or than may be spilled to disk. */
export class ObjectTooLargeError extends GachixError {
  constructor(what: string, size: number, limit: number) {
    super('ERR_GIT_OBJECT_TOO_LARGE', `${what} has ${size} bytes, the limit here is ${limit}`)
  }
}

/** A pack file is no longer what was opened: it was deleted or replaced by another process. */
export class PackGoneError extends GachixError {
  constructor(path: string, options?: ErrorOptions) {
    super(
      'ERR_GIT_PACK_GONE',
      `pack ${path} was removed or replaced while it was in use; read again after a refresh`,
      options,
    )
  }
}

/** A pack holds what cannot be copied into another one: damage, or deltas. Nothing was changed. */
export class UnmergeablePackError extends GachixError {
  readonly packId: string

  constructor(pack: { id: string; path: string }, problem: string, options?: ErrorOptions) {
    super(
      'ERR_GIT_UNMERGEABLE_PACK',
      `pack ${pack.path} is not merged with others and stays as it is: ${problem}`,
      options,
    )
    this.packId = pack.id
  }
}
