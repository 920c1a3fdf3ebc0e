import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { Turns } from '../../util/turns.ts'
import type { ObjectDatabase } from '../object-database.ts'
import { MalformedObjectError, ObjectNotFoundError } from '../object-errors.ts'
import { type GitObjectType, OID_BYTES, type Oid, oidToBytes } from '../oid.ts'
import { commitLinks, type TreeLink, tagLink, treeLinks } from './links.ts'
import { NumberList, OidSet } from './oid-set.ts'

/** Objects that one walk may meet: some 40 bytes of memory each. */
const MAX_WALKED_OBJECTS = 16_777_216
/** Trees that are read to find what the receiver has. What only further ones would tell is sent once more. */
const MAX_EXCLUDED_TREES = 250_000
/** Directories within one another, as Git's `core.maxTreeDepth`. */
const MAX_TREE_DEPTH = 2048
/** A tree object of 200,000 entries takes some 10 MB; more is refused. */
const MAX_TREE_SIZE = 256 * 1024 * 1024
/** A commit with 100,000 parents takes 5 MB. */
const MAX_COMMIT_SIZE = 16 * 1024 * 1024

/** Which objects to leave out, in Git's words. Objects that `wants` names are sent nevertheless. */
export type ObjectFilter = 'blob:none' | 'tree:0'

export interface SelectRequest {
  /** Commits with their trees and ancestors, trees with all below them, single blobs, tags with what they name. */
  readonly wants: readonly Oid[]
  /** Objects that the receiver has with all that they reach. Ones that are not in the repository are passed over. */
  readonly haves: readonly Oid[]
  readonly filter?: ObjectFilter
  /** Tags that come along when what they name, peeled, is selected. */
  readonly tags?: Iterable<{ readonly tag: Oid; readonly target: Oid }>
}

/** Objects chosen to be sent, each once: commits, tags, trees, then blobs, package by package in the order of the NAR. */
export interface ObjectSelection {
  readonly count: number
  /** The 20 bytes of the id of the object of this number, counted from 0. Not to be changed. */
  at(number: number): Buffer
}

/** More objects are reachable than one request may make the node look at. */
export class TooManyObjectsError extends GachixError {
  constructor() {
    super(
      'ERR_GIT_TOO_MANY_OBJECTS',
      `more than ${MAX_WALKED_OBJECTS} objects are reachable from what is wanted; ask for fewer refs at once`,
    )
  }
}

/**
 * Finds what `wants` reach and `haves` do not.
 *
 * Memory is some 40 bytes an object. The walk lets other work have its turn. What a have reaches is left out, as
 * long as finding it takes no more than `MAX_EXCLUDED_TREES` trees.
 *
 * @throws ObjectNotFoundError when a want, or what it reaches, is missing
 * @throws MalformedObjectError, CorruptObjectError for a damaged object
 * @throws TooManyObjectsError, AbortedError
 */
export async function selectObjects(
  database: ObjectDatabase,
  request: SelectRequest,
  options: AbortOptions = {},
): Promise<ObjectSelection> {
  return await new Selector(database, request, options).run()
}

interface OpenTree {
  readonly data: Buffer
  readonly links: readonly TreeLink[]
  next: number
}

class Selector {
  readonly #database: ObjectDatabase
  readonly #request: SelectRequest
  readonly #options: AbortOptions
  readonly #turns: Turns
  /** All that was met: what the receiver has, and what is selected. */
  readonly #met = new OidSet()
  // Ranks in `#met` of what is selected, in the order of the pack.
  readonly #commits = new NumberList()
  readonly #tags = new NumberList()
  readonly #trees = new NumberList()
  readonly #blobs = new NumberList()
  readonly #excludedRoots = new OidSet()
  readonly #roots = new OidSet()

  constructor(database: ObjectDatabase, request: SelectRequest, options: AbortOptions) {
    this.#database = database
    this.#request = request
    this.#options = options
    this.#turns = new Turns(options.signal)
  }

  async run(): Promise<ObjectSelection> {
    const { haves, wants, filter, tags = [] } = this.#request
    const had = await this.#enter(haves, new NumberList(), new NumberList(), this.#excludedRoots, true)
    for (const blob of had.blobs) this.#add(blob)
    for (const tree of had.trees) this.#excludedRoots.add(tree)
    const firstSelected = this.#met.count
    const { trees, blobs } = await this.#enter(wants, this.#commits, this.#tags, this.#roots, false)
    for (const { tag, target } of tags) {
      if (this.#met.rankOf(oidToBytes(target)) >= firstSelected) this.#addTo(this.#tags, oidToBytes(tag))
    }
    if (filter !== 'tree:0' || trees.length + blobs.length > 0) await this.#excludeTrees(blobs.length > 0)
    if (filter !== 'tree:0') {
      for (const tree of trees) this.#roots.add(tree)
      await this.#selectTrees(filter === undefined)
    }
    for (const tree of trees) this.#addTo(this.#trees, tree)
    for (const blob of blobs) this.#addTo(this.#blobs, blob)
    return this.#selection()
  }

  #selection(): ObjectSelection {
    const met = this.#met
    const lists = [this.#commits, this.#tags, this.#trees, this.#blobs]
    return {
      count: lists.reduce((sum, { count }) => sum + count, 0),
      at(number) {
        let index = number
        for (const list of lists) {
          if (index < list.count) return met.at(list.at(index))
          index -= list.count
        }
        throw new RangeError(`no object ${number}`)
      },
    }
  }

  /**
   * Sorts objects by type and follows tags and commits, breadth first: the list of commits is the queue.
   *
   * @param roots takes up the trees of the commits
   * @param lenient whether missing objects are passed over
   * @returns the trees and blobs among the objects
   */
  async #enter(
    oids: readonly Oid[],
    commits: NumberList,
    tags: NumberList,
    roots: OidSet,
    lenient: boolean,
  ): Promise<{ trees: Buffer[]; blobs: Buffer[] }> {
    const trees: Buffer[] = []
    const blobs: Buffer[] = []
    for (const oid of oids) {
      if (lenient && !this.#database.has(oid)) continue
      const pause = this.#turns.next()
      if (pause !== undefined) await pause
      const { target, type } = await this.#peel(oid, tags)
      if (type === 'commit') this.#addTo(commits, target)
      else if (type === 'tree') trees.push(target)
      else blobs.push(target)
    }
    for (let next = 0; next < commits.count; next++) {
      await this.#turns.next()
      const commit = await this.#read(this.#met.at(commits.at(next)), 'commit', MAX_COMMIT_SIZE, lenient)
      if (commit === undefined) continue
      const { tree, parents } = commitLinks(commit)
      roots.add(Buffer.from(tree, 'hex'))
      for (const parent of parents) this.#addTo(commits, Buffer.from(parent, 'hex'))
    }
    return { trees, blobs }
  }

  /** What an object is, after all tags on the way to it have been added to `tags`. */
  async #peel(oid: Oid, tags: NumberList): Promise<{ target: Buffer; type: Exclude<GitObjectType, 'tag'> }> {
    let target = oidToBytes(oid)
    let type = this.#database.wholeType(oid) ?? (await this.#database.header(oid)).type
    while (type === 'tag') {
      this.#addTo(tags, target)
      const link = tagLink((await this.#read(target, 'tag', MAX_COMMIT_SIZE, false))!)
      target = oidToBytes(link.target)
      await this.#turns.next()
      type = link.type
    }
    return { target, type }
  }

  /** Meets the trees, and where they matter the blobs, of what the receiver has. */
  async #excludeTrees(blobsWanted: boolean): Promise<void> {
    const roots = this.#excludedRoots
    const blobs = this.#request.filter === undefined || blobsWanted
    let left = MAX_EXCLUDED_TREES
    for (let number = 0; number < roots.count && left > 0; number++) {
      const root = roots.at(number)
      if (this.#add(root) < 0) continue
      left--
      await this.#walkTree(root, true, (link, data) => {
        if (link.kind === 'blob') {
          if (blobs) this.#add(data, link.at)
          return undefined
        }
        if (left <= 0 || this.#add(data, link.at) < 0) return undefined
        left--
        return data.subarray(link.at, link.at + OID_BYTES)
      })
    }
  }

  async #selectTrees(withBlobs: boolean): Promise<void> {
    for (let number = 0; number < this.#roots.count; number++) {
      const root = this.#roots.at(number)
      if (this.#addTo(this.#trees, root) < 0) continue
      await this.#walkTree(root, false, (link, data) => {
        if (link.kind === 'blob') {
          if (withBlobs) this.#addTo(this.#blobs, data, link.at)
          return undefined
        }
        if (this.#addTo(this.#trees, data, link.at) < 0) return undefined
        return data.subarray(link.at, link.at + OID_BYTES)
      })
    }
  }

  /** Walks a tree in the order of a NAR. `visit` gives the id of a directory that is to be entered. */
  async #walkTree(
    root: Buffer,
    lenient: boolean,
    visit: (link: TreeLink, data: Buffer) => Buffer | undefined,
  ): Promise<void> {
    const stack: OpenTree[] = []
    for (let entered: Buffer | undefined = root; ; ) {
      if (entered !== undefined) {
        await this.#turns.next()
        if (stack.length === MAX_TREE_DEPTH)
          throw new MalformedObjectError(
            `tree ${root.toString('hex')} is deeper than ${MAX_TREE_DEPTH} levels`,
          )
        const data = await this.#read(entered, 'tree', MAX_TREE_SIZE, lenient)
        if (data !== undefined) stack.push({ data, links: treeLinks(data), next: 0 })
      }
      const open = stack.at(-1)
      if (open === undefined) return
      const link = open.links[open.next++]
      entered = link === undefined ? undefined : visit(link, open.data)
      if (link === undefined) stack.pop()
    }
  }

  async #read(
    id: Buffer,
    type: GitObjectType,
    maxSize: number,
    lenient: boolean,
  ): Promise<Buffer | undefined> {
    const oid = id.toString('hex')
    try {
      const found =
        this.#database.readSmall(oid, maxSize) ??
        (await this.#database.read(oid, { ...this.#options, maxSize }))
      if (found.type === type) return found.data
      throw new MalformedObjectError(`object ${oid} is a ${found.type} where a ${type} is named`)
    } catch (error) {
      if (lenient && error instanceof ObjectNotFoundError) return undefined
      throw error
    }
  }

  /** Adds an id to those that were met; gives its rank, or -1 when it was among them. */
  #add(bytes: Buffer, offset = 0): number {
    const rank = this.#met.add(bytes, offset)
    if (rank >= MAX_WALKED_OBJECTS) throw new TooManyObjectsError()
    return rank
  }

  /** As `#add`, and selects it. */
  #addTo(list: NumberList, bytes: Buffer, offset = 0): number {
    const rank = this.#add(bytes, offset)
    if (rank >= 0) list.push(rank)
    return rank
  }
}
