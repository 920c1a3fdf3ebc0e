import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { fileVersion, ifPresent } from '../durable-file.ts'
import type { Oid } from '../oid.ts'
import { readJournal } from './journal-reader.ts'
import { type LooseRefs, scanLooseRefs } from './loose-refs.ts'
import { PackedRefs } from './packed-refs.ts'
import { RefsChangingError } from './ref-errors.ts'

/** Where a repository's refs lie. */
export interface RefPaths {
  readonly gitDir: string
  readonly packed: string
  /** The folder of gachix's own files. */
  readonly own: string
  readonly journal: string
  /** See `GitFileLock`. */
  readonly lockMarker: string
  /** Where the next `packed-refs` is made. */
  readonly newPacked: string
}

/** The refs that Git sees. */
export interface DiskRefs {
  readonly loose: LooseRefs
  readonly packed: PackedRefs
}

/** Them and the journal's changes, all of one moment. */
export interface RefSnapshot extends DiskRefs {
  readonly recent: ReadonlyMap<string, Oid | undefined>
}

const MAX_TRIES = 20

export function refPaths(gitDir: string): RefPaths {
  const own = join(gitDir, 'gachix')
  return {
    gitDir,
    packed: join(gitDir, 'packed-refs'),
    own,
    journal: join(own, 'journal'),
    lockMarker: join(own, 'git-lock'),
    newPacked: join(own, 'packed-refs.new'),
  }
}

/**
 * Reads loose and packed refs. In this order, because who packs a ref removes its file afterwards: one that is packed
 * meanwhile is seen twice rather than not at all.
 *
 * @param known is returned as it is when the file has not changed since
 */
export async function readDiskRefs(paths: RefPaths, known?: PackedRefs): Promise<DiskRefs> {
  const loose = await scanLooseRefs(paths.gitDir)
  if (known !== undefined && (await fileVersion(paths.packed)) === known.version)
    return { loose, packed: known }
  return { loose, packed: await PackedRefs.load(paths.packed) }
}

/**
 * Reads everything, beside a process that may be changing it. The journal comes first, since its content goes into
 * `packed-refs` before it is emptied; when that happens meanwhile, all is read again.
 *
 * @throws JournalDamagedError, JournalFormatError, PackedRefsError, RefsChangingError
 */
export async function readSnapshot(paths: RefPaths, known?: PackedRefs): Promise<RefSnapshot> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const before = await fileVersion(paths.packed)
    const recent = await readRecent(paths.journal)
    const disk = await readDiskRefs(paths, known)
    if (disk.packed.version === before) return { ...disk, recent }
  }
  throw new RefsChangingError(paths.gitDir)
}

async function readRecent(path: string): Promise<Map<string, Oid | undefined>> {
  const recent = new Map<string, Oid | undefined>()
  const file = await ifPresent(open(path, 'r'))
  if (file === undefined) return recent
  try {
    await readJournal(file, path, (name, oid) => recent.set(name, oid))
    return recent
  } finally {
    await file.close()
  }
}
