import type { ObjectData, ObjectDatabase } from '../git/object-database.ts'
import { MalformedObjectError } from '../git/object-errors.ts'
import type { Oid } from '../git/oid.ts'
import { parseTree, type TreeEntry } from '../git/tree.ts'
import type { NarHandler } from '../nix/nar/handler.ts'
import { GachixError } from '../util/errors.ts'
import { Turns } from '../util/turns.ts'
import { fromGitName, SINGLE_FILE, toGitName } from './names.ts'
import { entryType, MODE } from './tree-builder.ts'

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
  const turns = new Turns(signal)
  for (let directory = open.at(-1); directory !== undefined; directory = open.at(-1)) {
    const pause = turns.next()
    if (pause !== undefined) await pause
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
      const waiting = visitNode(database, tree, entry, visitor)
      if (waiting !== undefined) await waiting
    }
  }
}

function visitNode(
  database: ObjectDatabase,
  tree: Oid,
  entry: TreeEntry,
  visitor: NarVisitor,
): void | Promise<void> {
  if (entry.mode === MODE.symlink) {
    if (visitor.follows?.(entry.oid) === false) return
    return visitLink(database, tree, entry, visitor)
  }
  const executable = entry.mode === MODE.executable
  if (!executable && entry.mode !== MODE.file) {
    throw new TreeNotPackageError(
      tree,
      `entry ${JSON.stringify(entry.name.toString())} has mode ${entry.mode}`,
    )
  }
  return visitor.file(executable, entry.oid)
}

function visitLink(
  database: ObjectDatabase,
  tree: Oid,
  entry: TreeEntry,
  visitor: NarVisitor,
): void | Promise<void> {
  const link = database.readSmall(entry.oid, MAX_TARGET)
  if (link !== undefined) return tellLink(tree, entry, link, visitor)
  const reading = database.read(entry.oid, { maxSize: MAX_TARGET })
  return reading.then((read) => tellLink(tree, entry, read, visitor))
}

function tellLink(tree: Oid, entry: TreeEntry, { type, data }: ObjectData, visitor: NarVisitor): void {
  if (type !== 'blob' || data.length === 0 || data.includes(0)) {
    throw new TreeNotPackageError(
      tree,
      `the symbolic link ${JSON.stringify(entry.name.toString())} has no usable target`,
    )
  }
  visitor.symlink(data)
}

async function readEntries(
  database: ObjectDatabase,
  tree: Oid,
  oid: Oid,
  { root, strict }: { root: boolean; strict: boolean },
): Promise<NarEntry[]> {
  const { type, data } =
    database.readSmall(oid, MAX_TREE_BYTES) ?? (await database.read(oid, { maxSize: MAX_TREE_BYTES }))
  if (type !== 'tree') throw new TreeNotPackageError(tree, `${oid} is a ${type}`)
  const entries: NarEntry[] = []
  let sorted = true
  for (const { mode, name, oid: id } of parseEntries(data, tree, oid, strict)) {
    const narName = fromGitName(name, { root, type: entryType(mode) })
    const last = entries.at(-1)
    // Git's order is another one only where names of directories are involved.
    if (last !== undefined && Buffer.compare(last.narName, narName) >= 0) sorted = false
    entries.push({ mode, name, oid: id, narName })
  }
  if (strict && !isOurs(entries, root))
    throw new TreeNotPackageError(tree, `${oid} is not the tree that gachix writes for its entries`)
  if (!sorted) entries.sort((a, b) => Buffer.compare(a.narName, b.narName))
  for (let i = 0; i < entries.length; i++) {
    const { name, narName } = entries[i]!
    // What a tree's own names cannot hold was looked for when it was parsed.
    if (name === narName ? name.length > MAX_NAME : !isNarName(narName)) {
      throw new TreeNotPackageError(tree, `${oid} has an entry ${JSON.stringify(narName.toString())}`)
    }
    if (!sorted && i > 0 && narName.equals(entries[i - 1]!.narName)) {
      throw new TreeNotPackageError(tree, `${oid} has ${JSON.stringify(narName.toString())} twice`)
    }
  }
  return entries
}

function parseEntries(data: Buffer, tree: Oid, oid: Oid, strict: boolean): TreeEntry[] {
  try {
    return parseTree(data, strict)
  } catch (error) {
    if (!strict || !(error instanceof MalformedObjectError)) throw error
    throw new TreeNotPackageError(tree, `${oid} is not the tree that gachix writes: ${error.message}`, {
      cause: error,
    })
  }
}

/** Whether the entries of a canonical tree object have the names, to the byte, under which `TreeBuilder` writes them. */
function isOurs(entries: readonly NarEntry[], root: boolean): boolean {
  const [only] = entries
  if (root && entries.length === 1 && only!.name.equals(SINGLE_FILE) && only!.mode !== MODE.directory)
    return only!.narName.equals(SINGLE_FILE)
  return entries.every(({ mode, name, narName }) => {
    const written = toGitName(narName, { root, type: entryType(mode) })
    return written === name || written.equals(name)
  })
}

/** Whether Nix takes an entry of this name; a Git tree, or what an escaped name stands for, may have others. */
function isNarName(name: Buffer): boolean {
  if (name.length === 0 || name.length > MAX_NAME || name.includes(0) || name.includes('/')) return false
  return !name.equals(DOT) && !name.equals(DOT_DOT)
}

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
