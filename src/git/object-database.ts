import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { FileHandles } from './file-handles.ts'
import {
  alternateDirectories,
  ObjectDirectory,
  type PackFacts,
  type ProblemHandler,
} from './object-directory.ts'
import { CorruptObjectError, ObjectNotFoundError } from './object-errors.ts'
import {
  type DeflatedLocation,
  damagedObject,
  isDamage,
  isGone,
  named,
  nameOf,
  type ObjectLocation,
  type Place,
  placeOf,
} from './object-location.ts'
import { createObjectHash, type GitObjectType, OID_BYTES, type Oid, writeOid } from './oid.ts'
import { isDelta } from './pack/format.ts'
import type { PackIndex } from './pack/index-reader.ts'
import type { Pack } from './pack/pack.ts'
import { loadEntry, type ObjectData, type ObjectStream, PackedObjects } from './pack/packed-objects.ts'

export type { ObjectData, ObjectStream } from './pack/packed-objects.ts'

const MEBIBYTE = 1024 * 1024
/** How often the beginning of a stream is looked for again, because its pack went away before the first piece was read. */
const MAX_REOPENED = 3

export interface ObjectDatabaseOptions {
  /** Bytes of delta bases kept in memory; 64 MiB by default. */
  deltaCacheSize?: number
  /** How many pack files stay open while nobody reads them; 64 by default. */
  openFiles?: number
  /** Objects up to this size are held in memory while a delta is applied, larger ones in a file; 16 MiB by default. */
  memoryLimit?: number
  /** The most bytes to put into one such file; 16 GiB by default. */
  spoolLimit?: number
  /** Where such files are made, without a name; the system's by default. */
  tempDir?: string
  /** Told of each damaged pack, which is then left out. Without it, a damaged pack is an error of `open` or `refresh`. */
  onProblem?: ProblemHandler
  /** Another database with some of the same packs: their indexes are read once for both. */
  beside?: ObjectDatabase
}

/** Options of a read. */
export interface ReadOptions {
  /** The largest object to return; 64 MiB by default. Larger ones can be had by `stream`. */
  maxSize?: number
  signal?: AbortSignal
}

const NOWHERE: readonly Place[] = []

/**
 * The objects of a repository: packs and loose objects, its own and those of its alternates.
 *
 * Look-ups answer from memory, in this order: the repository's own packs, newest first (then by name), its loose objects, then the
 * same for each alternate. What other processes add or remove is seen after `refresh`; a read that finds nothing, or a pack that has
 * vanished, refreshes and tries once more. A damaged copy of an object does not matter while there is another one.
 */
export class ObjectDatabase {
  readonly #directories: readonly ObjectDirectory[]
  readonly #packed: PackedObjects
  /** The id that is being looked for. */
  readonly #id = new Uint8Array(OID_BYTES)
  /** Refreshes, and removals of packs, run one after the other. */
  #refreshing: Promise<unknown> = Promise.resolve()

  private constructor(directories: readonly ObjectDirectory[], packed: PackedObjects) {
    this.#directories = directories
    this.#packed = packed
  }

  /**
   * Opens an object directory (`<repository>/objects`) and its alternates.
   *
   * @throws CorruptPackError, CorruptPackIndexError for a damaged pack, unless `onProblem` is given
   */
  static async open(objectsDir: string, options: ObjectDatabaseOptions = {}): Promise<ObjectDatabase> {
    const handles = new FileHandles(options.openFiles)
    const packed = new PackedObjects({
      cacheSize: options.deltaCacheSize ?? 64 * MEBIBYTE,
      memoryLimit: options.memoryLimit ?? 16 * MEBIBYTE,
      spoolLimit: options.spoolLimit ?? 16 * 1024 * MEBIBYTE,
      tempDir: options.tempDir ?? tmpdir(),
    })
    const paths = await alternateDirectories(objectsDir)
    const { onProblem, beside } = options
    const knownIndex = (path: string, facts: PackFacts) => beside?.indexOf(path, facts)
    const directories = paths.map((path) => new ObjectDirectory(path, { handles, onProblem, knownIndex }))
    const database = new ObjectDatabase(directories, packed)
    try {
      await database.refresh()
    } catch (error) {
      database.close()
      throw error
    }
    return database
  }

  /** Whether the object is there. Answers from memory; false for a text that is no object id. */
  has(oid: Oid): boolean {
    if (!writeOid(oid, this.#id)) return false
    for (const { packs, loose } of this.#directories) {
      for (const pack of packs) if (pack.index.findBytes(this.#id) >= 0) return true
      if (loose.has(oid)) return true
    }
    return false
  }

  /** Where the object lies, the first place in the order of look-up. Answers from memory. */
  locate(oid: Oid): ObjectLocation | undefined {
    return this.#locate(oid)
  }

  /** Type and size, without the content. @throws ObjectNotFoundError, CorruptObjectError */
  header(oid: Oid): Promise<{ type: GitObjectType; size: number }> {
    return this.#attempt(oid, async (location) =>
      location.kind === 'pack'
        ? this.#packed.header(location.pack, location.offset)
        : location.objects.header(oid),
    )
  }

  /**
   * The object in memory. Its bytes may be shared with a cache: they are not to be changed.
   *
   * @throws ObjectNotFoundError, CorruptObjectError, AbortedError
   * @throws ObjectTooLargeError when it is larger than `maxSize`
   */
  read(oid: Oid, options: ReadOptions = {}): Promise<ObjectData> {
    const { maxSize = 64 * MEBIBYTE, signal } = options
    return this.#attempt(oid, (location) =>
      location.kind === 'pack'
        ? this.#packed.read(location.pack, location.offset, { maxSize, signal })
        : location.objects.read(oid, maxSize, signal),
    )
  }

  /**
   * The object if that takes microseconds: when it is small, and whole in a pack. `undefined` for any other, and for one that cannot be
   * read: `read` knows more of it. Walks over thousands of objects spend more on waiting for them than on reading them.
   */
  readSmall(oid: Oid, maxSize: number): ObjectData | undefined {
    return this.#atOnce(oid, (pack, offset) => this.#packed.readSmall(pack, offset, maxSize))
  }

  /** As `readSmall`, the type alone: see `header`. */
  wholeType(oid: Oid): GitObjectType | undefined {
    return this.#atOnce(oid, (pack, offset) => this.#packed.wholeType(pack, offset))
  }

  /**
   * The object piece by piece (at most 256 KiB each), in bounded memory whatever its size. The pieces may still throw
   * `CorruptObjectError`, once the damage is reached.
   *
   * @throws ObjectNotFoundError, CorruptObjectError
   */
  async stream(oid: Oid, options: { signal?: AbortSignal } = {}): Promise<ObjectStream> {
    const found = await this.#openStream(oid, options.signal)
    return { ...found, chunks: this.#pieces(oid, found.chunks, options.signal) }
  }

  /**
   * Where the object's zlib stream lies, when a pack has it as it is and not only as a delta.
   *
   * @throws CorruptObjectError when the entry's header is damaged
   * @throws PackGoneError when another process has removed the pack; `refresh` helps
   */
  deflated(oid: Oid): DeflatedLocation | undefined {
    const tried: Place[] = []
    for (;;) {
      const location = this.#locate(oid, tried)
      if (location === undefined) return undefined
      tried.push(placeOf(location))
      if (location.kind !== 'pack') continue
      const { pack, position, offset } = location
      try {
        const { type, size, dataOffset, dataLength } = loadEntry(pack, offset)
        if (!isDelta(type)) return { pack, position, type, size, dataOffset, dataLength }
      } catch (error) {
        throw isDamage(error) ? damagedObject(error, oid, location) : error
      }
    }
  }

  /**
   * Reads the whole object and compares it with its id.
   *
   * @throws ObjectNotFoundError
   * @throws CorruptObjectError when the content is damaged or another object's
   */
  async verify(oid: Oid, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { type, size, chunks } = await this.stream(oid, options)
    const hash = createObjectHash(type, size)
    for await (const chunk of chunks) hash.update(chunk)
    const found = hash.digest('hex')
    const place = nameOf(this.locate(oid))
    if (found !== oid) throw new CorruptObjectError(oid, place, `its content is that of ${found}`)
  }

  /**
   * Takes up a finished pack (`….pack` with its `.idx` beside it) in the `pack/` of one of the object directories.
   *
   * @throws CorruptPackError, CorruptPackIndexError
   */
  async addPack(packPath: string): Promise<Pack> {
    const path = resolve(packPath)
    const directory = this.#directories.find((candidate) => join(candidate.path, 'pack') === dirname(path))
    if (directory === undefined)
      throw new RangeError(`${path} lies outside of the repository's pack directories`)
    return directory.add(path)
  }

  /** The index of the pack at a path, while this is still the file that it was. */
  indexOf(path: string, facts: PackFacts): PackIndex | undefined {
    const found = this.#directories.map((directory) => directory.indexOf(path, facts))
    return found.find((index) => index !== undefined)
  }

  /** Forgets a pack of the repository; who has retained it reads on, also when its file is deleted. */
  removePack(id: string): boolean {
    for (const directory of this.#directories) {
      const pack = directory.packs.find((candidate) => candidate.id === id)
      if (pack !== undefined) return directory.remove(pack)
    }
    return false
  }

  /**
   * Forgets packs of the repository whose objects are in other packs as well, and has their files removed. Nothing
   * looks for packs meanwhile, as it would take those up again that still have their files.
   *
   * @param removeFiles called when no look-up finds the packs any more; who has retained one reads on
   */
  retirePacks(packs: readonly Pack[], removeFiles: () => Promise<void>): Promise<void> {
    return this.#inTurn(async () => {
      for (const pack of packs) for (const directory of this.#directories) directory.remove(pack)
      await removeFiles()
    })
  }

  /** All packs in the order of look-up. */
  packs(): readonly Pack[] {
    return this.#directories.flatMap(({ packs }) => packs)
  }

  /** Grows with every change of the packs: what was looked up before may be somewhere else since. */
  get generation(): number {
    return this.#directories.reduce((sum, { generation }) => sum + generation, 0)
  }

  /** The packs that have the object, in the order of look-up. */
  packsContaining(oid: Oid): Pack[] {
    return this.packs().filter(({ index }) => index.find(oid) >= 0)
  }

  /** Ids of all loose objects, in no order; one may come twice when an alternate has it too. */
  *looseOids(): Generator<Oid> {
    for (const { loose } of this.#directories) yield* loose.oids()
  }

  /**
   * Lists those directories anew that have changed. Resolves to whether there are other packs or loose objects now.
   *
   * @throws CorruptPackError, CorruptPackIndexError for a damaged pack, unless `onProblem` is given
   */
  refresh(): Promise<boolean> {
    return this.#inTurn(async () => {
      let changed = false
      for (const directory of this.#directories) changed = (await directory.refresh()) || changed
      return changed
    })
  }

  /** Closes all packs as soon as their readers are done. */
  close(): void {
    for (const directory of this.#directories) directory.close()
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#refreshing.then(work)
    this.#refreshing = turn.catch(() => {})
    return turn
  }

  #openStream(oid: Oid, signal: AbortSignal | undefined): Promise<ObjectStream> {
    return this.#attempt(oid, async (location) => {
      const found =
        location.kind === 'pack'
          ? this.#packed.stream(location.pack, location.offset, signal)
          : await location.objects.stream(oid, signal)
      return { ...found, chunks: named(found.chunks, oid, location) }
    })
  }

  /** The pieces of a stream. Its pack is kept open once there is a first one; when it goes before, another copy is read. */
  async *#pieces(
    oid: Oid,
    opened: AsyncIterable<Buffer>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Buffer> {
    let chunks = opened
    for (let attempt = 0; ; attempt++) {
      let begun = false
      try {
        for await (const piece of chunks) {
          begun = true
          yield piece
        }
        return
      } catch (error) {
        if (begun || !isGone(error) || attempt === MAX_REOPENED) throw error
      }
      chunks = (await this.#openStream(oid, signal)).chunks
    }
  }

  /** The first place of an object, leaving out some. */
  #locate(oid: Oid, without: readonly Place[] = NOWHERE): ObjectLocation | undefined {
    if (!writeOid(oid, this.#id)) return undefined
    for (const { packs, loose } of this.#directories) {
      for (const pack of packs) {
        const position = pack.index.findBytes(this.#id)
        if (position < 0 || without.includes(pack)) continue
        return { kind: 'pack', pack, position, offset: pack.index.offsetAt(position) }
      }
      if (loose.has(oid) && !without.includes(loose))
        return { kind: 'loose', path: loose.pathOf(oid), objects: loose }
    }
    return undefined
  }

  #atOnce<T>(oid: Oid, action: (pack: Pack, offset: number) => T | undefined): T | undefined {
    const location = this.#locate(oid)
    if (location?.kind !== 'pack') return undefined
    try {
      return action(location.pack, location.offset)
    } catch (error) {
      if (isGone(error) || isDamage(error)) return undefined
      throw error
    }
  }

  /** Does something with the first copy of an object that is sound. */
  async #attempt<T>(oid: Oid, action: (location: ObjectLocation) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      let damage: unknown
      let gone: unknown
      const tried: Place[] = []
      for (;;) {
        const location = this.#locate(oid, tried)
        if (location === undefined) break
        try {
          return await action(location)
        } catch (error) {
          if (isGone(error)) gone ??= error
          else if (isDamage(error)) damage ??= damagedObject(error, oid, location)
          else throw error
        }
        tried.push(placeOf(location))
      }
      const failure = damage ?? gone ?? new ObjectNotFoundError(oid)
      if (attempt > 0 || (gone === undefined && damage !== undefined)) throw failure
      // Somebody else's repacking may have put it where nobody has looked yet, or where another read has just found it.
      await this.refresh()
    }
  }
}
