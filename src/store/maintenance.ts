import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { ObjectDatabase } from '../git/object-database.ts'
import { UnmergeablePackError } from '../git/object-errors.ts'
import { removablePacks, removePackFiles } from '../git/pack/files.ts'
import { containsDeltas, mergePacks } from '../git/pack/merge.ts'
import type { Pack } from '../git/pack/pack.ts'
import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'
import { answeredElsewhere, countToMerge } from './merge-choice.ts'
import type { SpliceRecords } from './splice-records.ts'

const MEBIBYTE = 1024 * 1024

/** Nothing is merged up to so many packs: looking through them costs less than copying them after every `add`. */
const FEW_PACKS = 8
/** The same while packages come in, a batch after the other: what is merged early is copied again with what comes later. */
const FEW_PACKS_HELD = 64
/** Milliseconds after a pull until packs are merged: another may follow, and whoever looks at what has come finds it where it is. */
const QUIET_TIME = 5000
/** Packs above this size, in bytes, are left alone; a merge copies at most twice as much. */
const LARGEST_PACK = 4096 * MEBIBYTE
/** The same for a process that shall end soon: half a second of copying. */
const LARGEST_PACK_SHORT_LIVED = 128 * MEBIBYTE
/** Space that must be free for a merge, times the bytes to copy: others write meanwhile. */
const SPACE_FACTOR = 2

export interface PackMaintenanceOptions {
  database: ObjectDatabase
  records: SpliceRecords
  /** The repository's `objects/pack`. */
  packDir: string
  /** Where unfinished packs lie; on the same file system. */
  tmpDir: string
  logger: Logger
  /** The process ends after one task: nothing is merged meanwhile, and one small merge at most when it is done. */
  shortLived?: boolean
}

/**
 * Keeps the packs of a repository few by merging them in the background, one merge at a time. What fails is logged and
 * leaves all as it was.
 *
 * The new pack is in place and found by everybody before the old ones are forgotten, and these are deleted after that: at
 * whatever moment the process dies, every object is in some pack. Who reads an old pack has retained it and reads on.
 */
export class PackMaintenance {
  readonly #options: PackMaintenanceOptions
  readonly #closing = new AbortController()
  /** Packs known to be with or without deltas; with the former count those that turned out to be damaged. */
  readonly #fit = new WeakMap<Pack, boolean>()
  #wanted = false
  /** How many bring packages in. */
  #holders = 0
  #later: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(options: PackMaintenanceOptions) {
    this.#options = options
  }

  /** Has the packs looked at soon. Cheap when there is nothing to merge. */
  request(): void {
    if (this.#closing.signal.aborted) return
    this.#wanted = true
    if (this.#options.shortLived !== true) this.#start()
  }

  /** Has most merges wait. @returns what ends that, once */
  hold(): () => void {
    this.#holders++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#holders--
      clearTimeout(this.#later)
      this.#later = setTimeout(() => this.request(), QUIET_TIME).unref()
    }
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  /** Stops; of a short-lived process it does now what has been requested. Resolves when nothing is under way. */
  async close(): Promise<void> {
    clearTimeout(this.#later)
    if (this.#options.shortLived === true && this.#wanted) this.#start()
    else this.#closing.abort()
    await this.idle()
    this.#closing.abort()
  }

  #start(): void {
    this.#running ??= this.#work().finally(() => {
      this.#running = undefined
    })
  }

  async #work(): Promise<void> {
    const { shortLived, logger } = this.#options
    const { signal } = this.#closing
    // Whoever asked goes on first.
    await null
    try {
      while (this.#wanted) {
        this.#wanted = false
        while ((await this.#mergeOnce(signal)) && shortLived !== true);
      }
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error }, `cannot merge packs: ${errorMessage(error)}`)
    }
  }

  /** Merges what the rule asks for; tells whether there may be more to do. */
  async #mergeOnce(signal: AbortSignal): Promise<boolean> {
    const { database, records, packDir, tmpDir, logger } = this.#options
    const chosen = await this.#choose(signal)
    if (chosen.length === 0) return false
    const bytes = chosen.reduce((sum, { size }) => sum + size, 0)
    if (!(await hasSpace(tmpDir, bytes))) {
      logger.warn(`there is no space to merge ${chosen.length} packs of ${bytes} bytes`)
      return false
    }
    const all = database.packs()
    const set = new Set(chosen)
    try {
      const { written, superseded } = await mergePacks(all.filter((pack) => set.has(pack)).reverse(), {
        tmpDir,
        packDir,
        spliceDir: records.directory,
        recordOf: (pack, position) => records.at(pack, position),
        leaveOut: answeredElsewhere(all, set),
        signal,
      })
      if (written !== undefined) this.#fit.set(await database.addPack(written.path), true)
      await this.#retire(superseded)
      logger.debug({ bytes, packs: chosen.length, objects: written?.objects ?? 0 }, 'merged packs')
      return true
    } catch (error) {
      if (!(error instanceof UnmergeablePackError)) throw error
      this.#leave(chosen, error)
      return true
    }
  }

  /** The packs to merge now; none when there are few, or when they are as the rule wants them. */
  async #choose(signal: AbortSignal): Promise<readonly Pack[]> {
    const { database, packDir, shortLived } = this.#options
    const largest = shortLived === true ? LARGEST_PACK_SHORT_LIVED : LARGEST_PACK
    const few = this.#holders > 0 ? FEW_PACKS_HELD : FEW_PACKS
    for (;;) {
      const candidates = database
        .packs()
        .filter((pack) => dirname(pack.path) === packDir && pack.size <= largest && this.#isFit(pack))
        .sort((a, b) => a.size - b.size)
      if (candidates.length <= few) return []
      const removable = await removablePacks(packDir, candidates)
      if (removable.length <= few) return []
      const sizes = removable.map(({ size }) => size)
      const chosen = removable.slice(0, countToMerge(sizes, 2 * largest))
      if (await this.#areFit(chosen, signal)) return chosen
    }
  }

  /** A pack whose blobs nobody has looked at yet would take that with it: the merged pack counts as looked at. */
  #isFit(pack: Pack): boolean {
    return this.#fit.get(pack) !== false && this.#options.records.has(pack)
  }

  async #areFit(packs: readonly Pack[], signal: AbortSignal): Promise<boolean> {
    for (const pack of packs) {
      if (this.#fit.has(pack)) continue
      try {
        this.#fit.set(pack, !(await containsDeltas(pack, signal)))
      } catch (error) {
        if (!(error instanceof UnmergeablePackError)) throw error
        this.#leave([pack], error)
      }
    }
    return packs.every((pack) => this.#fit.get(pack) === true)
  }

  /** Leaves a pack alone from now on. */
  #leave(packs: readonly Pack[], error: UnmergeablePackError): void {
    const { logger } = this.#options
    for (const pack of packs) if (pack.id === error.packId) this.#fit.set(pack, false)
    logger.warn({ err: error }, error.message)
  }

  /** Removes packs whose objects are in other packs as well. */
  async #retire(packs: readonly Pack[]): Promise<void> {
    const { database, records, packDir } = this.#options
    // Somebody may have asked to keep one meanwhile.
    const removable = await removablePacks(packDir, packs)
    await database.retirePacks(removable, async () => {
      for (const pack of removable) records.forget(pack)
      await removePackFiles(packDir, removable)
      const used = new Set(database.packs().map(({ id }) => id))
      for (const { id } of removable) if (!used.has(id)) await records.remove(id)
    })
  }
}

async function hasSpace(directory: string, bytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(directory)
  return bavail * bsize >= SPACE_FACTOR * bytes
}
