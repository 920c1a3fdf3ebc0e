import { setImmediate } from 'node:timers/promises'
import type { ObjectDatabase } from '../git/object-database.ts'
import { MalformedObjectError } from '../git/object-errors.ts'
import type { Oid } from '../git/oid.ts'
import { encodeTree, parseTree, type TreeEntry } from '../git/tree.ts'
import type { NarHandler } from '../nix/nar/handler.ts'
import { GachixError } from '../util/errors.ts'
import { fromGitName, SINGLE_FILE, toGitName } from './names.ts'
import { entryType, MODE } from './tree-builder.ts'

/** Entries between pauses in which other work gets its turn. */
const ENTRIES_A_TURN = 500
/** How deep below the root a NAR's nodes may lie. */
const MAX_DEPTH = 63
/** Longest name that Nix takes. */
const MAX_NAME = 255
/** Longest target of a symbolic link that Nix takes. */
const MAX_TARGET = 4095
/** A tree object of 200,000 entries takes some 10 MB; more is refused. */
const MAX_TREE_BYTES = 256 * 1024 * 1024

/** A tree in the repository cannot be a package's contents. */
export class TreeNotPackageError extends GachixError {
  constructor(tree: Oid, reason: string, options?: ErrorOptions) {
    super('ERR_TREE_NOT_PACKAGE', `tree ${tree} is not the contents of a package: ${reason}`, options)
  }
}

/** What a walk tells of: a NAR's nodes in NAR order, files by their blobs. */
export interface NarVisitor
  extends Pick<NarHandler, 'directoryStart' | 'entry' | 'directoryEnd' | 'symlink'> {
  file(executable: boolean, oid: Oid): void | Promise<void>
  /** Told of a directory below the root before it is entered; with `false` it is passed over, with all in it. */
  enters?(oid: Oid): boolean
  /** Told of a symbolic link before its target is read; with `false` it is passed over. */
  follows?(oid: Oid): boolean
}

interface OpenDirectory {
  readonly entries: readonly NarEntry[]
  next: number
}

type NarEntry = TreeEntry & { readonly narName: Buffer }

/**
 * Walks a package's tree in NAR order (byte order of the real names, which is not Git's order). The visitor is called
 * synchronously but for files, which it may take its time for.
 *
 * @param strict refuse trees that `TreeBuilder` would not have made of this NAR, so that a package has one tree id
 * @throws TreeNotPackageError when the tree holds what a NAR cannot
 */
export async function walkNar(
  database: ObjectDatabase,
  tree: Oid,
  visitor: NarVisitor,
  signal?: AbortSignal,
  strict = false,
): Promise<void> {
  const root = await readEntries(database, tree, tree, { root: true, strict })
  const only = root[0]
  if (
    root.length === 1 &&
    only !== undefined &&
    only.name.equals(SINGLE_FILE) &&
    only.mode !== MODE.directory
  ) {
    await visitNode(database, tree, only, visitor)
    return
  }
  const open: OpenDirectory[] = [{ entries: root, next: 0 }]
  visitor.directoryStart()
  let walked = 0
  for (let directory = open.at(-1); directory !== undefined; directory = open.at(-1)) {
    if (++walked % ENTRIES_A_TURN === 0) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    const entry = directory.entries[directory.next++]
    if (entry === undefined) {
      visitor.directoryEnd()
      open.pop()
      continue
    }
    if (open.length > MAX_DEPTH) throw new TreeNotPackageError(tree, `it is deeper than ${MAX_DEPTH} levels`)
    visitor.entry(entry.narName)
    if (entry.mode === MODE.directory) {
      signal?.throwIfAborted()
      if (visitor.enters?.(entry.oid) === false) continue
      open.push({ entries: await readEntries(database, tree, entry.oid, { root: false, strict }), next: 0 })
      visitor.directoryStart()
    } else {
      await visitNode(database, tree, entry, visitor)
    }
  }
}

async function visitNode(
  database: ObjectDatabase,
  tree: Oid,
  entry: TreeEntry,
  visitor: NarVisitor,
): Promise<void> {
  if (entry.mode === MODE.symlink) {
    if (visitor.follows?.(entry.oid) === false) return
    const { type, data } = await database.read(entry.oid, { maxSize: MAX_TARGET })
    if (type !== 'blob' || data.length === 0 || data.includes(0)) {
      throw new TreeNotPackageError(
        tree,
        `the symbolic link ${JSON.stringify(entry.name.toString())} has no usable target`,
      )
    }
    visitor.symlink(data)
    return
  }
  const executable = entry.mode === MODE.executable
  if (!executable && entry.mode !== MODE.file) {
    throw new TreeNotPackageError(
      tree,
      `entry ${JSON.stringify(entry.name.toString())} has mode ${entry.mode}`,
    )
  }
  const waiting = visitor.file(executable, entry.oid)
  if (waiting !== undefined) await waiting
}

async function readEntries(
  database: ObjectDatabase,
  tree: Oid,
  oid: Oid,
  { root, strict }: { root: boolean; strict: boolean },
): Promise<NarEntry[]> {
  const { type, data } = await database.read(oid, { maxSize: MAX_TREE_BYTES })
  if (type !== 'tree') throw new TreeNotPackageError(tree, `${oid} is a ${type}`)
  const entries = parseEntries(data, tree, oid, strict).map((entry) => {
    return { ...entry, narName: fromGitName(entry.name, { root, type: entryType(entry.mode) }) }
  })
  if (strict && !isOurs(data, entries, root))
    throw new TreeNotPackageError(tree, `${oid} is not the tree that gachix writes for its entries`)
  entries.sort((a, b) => Buffer.compare(a.narName, b.narName))
  for (const [i, { narName }] of entries.entries()) {
    if (!isNarName(narName)) {
      throw new TreeNotPackageError(tree, `${oid} has an entry ${JSON.stringify(narName.toString())}`)
    }
    if (i > 0 && narName.equals(entries[i - 1]!.narName)) {
      throw new TreeNotPackageError(tree, `${oid} has ${JSON.stringify(narName.toString())} twice`)
    }
  }
  return entries
}

function parseEntries(data: Buffer, tree: Oid, oid: Oid, strict: boolean): TreeEntry[] {
  try {
    return parseTree(data)
  } catch (error) {
    if (!strict || !(error instanceof MalformedObjectError)) throw error
    throw new TreeNotPackageError(tree, `${oid}: ${error.message}`, { cause: error })
  }
}

/** Whether a tree object is, to the byte, the one that `TreeBuilder` makes of these entries. */
function isOurs(data: Buffer, entries: readonly NarEntry[], root: boolean): boolean {
  const [only] = entries
  const single =
    root && entries.length === 1 && only!.name.equals(SINGLE_FILE) && only!.mode !== MODE.directory
  const written = entries.map(({ mode, narName, oid }) => {
    return { mode, oid, name: single ? narName : toGitName(narName, { root, type: entryType(mode) }) }
  })
  return encodeTree(written).equals(data)
}

/** Whether Nix takes an entry of this name; a Git tree, or what an escaped name stands for, may have others. */
function isNarName(name: Buffer): boolean {
  if (name.length === 0 || name.length > MAX_NAME || name.includes(0) || name.includes('/')) return false
  return !name.equals(DOT) && !name.equals(DOT_DOT)
}

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
