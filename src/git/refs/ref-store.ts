import { mkdir } from 'node:fs/promises'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { fileVersion } from '../durable-file.ts'
import { GitFileLock, type GitFileLockOptions } from '../git-file-lock.ts'
import type { Oid } from '../oid.ts'
import { Journal, type RefBatch } from './journal.ts'
import { type LooseRefProblem, removeLooseRefs } from './loose-refs.ts'
import type { PackageRefs } from './package-refs.ts'
import { PackedRefs, type Ref, type RefChanges } from './packed-refs.ts'
import { writePackedRefsFile } from './packed-refs-file.ts'
import { checkBatch } from './ref-batch.ts'
import { RefStoreClosedError, RefsReadOnlyError } from './ref-errors.ts'
import { type DiskRefs, type RefPaths, readDiskRefs, readSnapshot, refPaths } from './ref-snapshot.ts'
import { RefView } from './ref-view.ts'

/** Below this size of `packed-refs`, in bytes, changes are packed almost at once. */
const SMALL_PACKED_BYTES = 4 * 1024 * 1024
/** A larger one is rewritten when the journal has grown to this part of it. */
const JOURNAL_SHARE = 1 / 8
/** How long changes are collected before they are packed, in milliseconds. */
const PACK_DELAY_MS = 250
/** How long to wait after packing failed, in milliseconds. */
const PACK_RETRY_MS = 10_000

export interface RefStoreOptions {
  /** Changes nothing on the disk; may be used beside the process that owns the repository. */
  readOnly?: boolean
  /** How long changes are collected before they are packed, in milliseconds. */
  packDelay?: number
  /** Size of `packed-refs`, in bytes, below which every change is packed after that delay. */
  smallPackedBytes?: number
  /** How long a lock of Git's is waited for, in milliseconds; see `GitFileLock`. */
  lockWait?: number
  /** Told of a failure to pack in the background. Nothing is lost by one; packing is tried again. */
  onError?: (error: unknown) => void
  /** Told of every change that is durable and visible here. Must not throw. */
  onUpdate?: (batch: RefBatch) => void
}

/**
 * The refs of a repository.
 *
 * Reading answers from memory. A change is appended to the journal, where it is durable, and is then visible here; from
 * time to time the journal goes into `packed-refs`, where Git sees it. Unless opened for reading only, the caller must
 * hold the `RepositoryLock`. Git processes may change refs meanwhile, in the way Git does; `refresh()` notices.
 */
export class RefStore {
  readonly gitDir: string
  readonly #paths: RefPaths
  readonly #options: RefStoreOptions
  /** Absent when opened for reading only. */
  readonly #journal: Journal | undefined
  readonly #view: RefView
  #problems: readonly LooseRefProblem[]
  /** Changes that are being appended. */
  readonly #updates = new Set<Promise<void>>()
  /** Set while changes must wait, because the journal is being emptied. */
  #paused: Promise<void> | undefined
  #packing: Promise<void> | undefined
  /** Ends when the last `pack` or `refresh` has; they follow one another. */
  #turn: Promise<unknown> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  private constructor(
    paths: RefPaths,
    options: RefStoreOptions,
    journal: Journal | undefined,
    view: RefView,
    problems: readonly LooseRefProblem[],
  ) {
    this.gitDir = paths.gitDir
    this.#paths = paths
    this.#options = options
    this.#journal = journal
    this.#view = view
    this.#problems = problems
  }

  /**
   * Reads the refs; for writing also packs what a crash left in the journal.
   *
   * @param gitDir the repository itself when it is bare, else its `.git`
   * @throws PackedRefsError, PackedRefsTooLargeError, JournalDamagedError, JournalFormatError
   */
  static async open(gitDir: string, options: RefStoreOptions = {}): Promise<RefStore> {
    const paths = refPaths(gitDir)
    if (options.readOnly) {
      const { packed, loose, recent } = await readSnapshot(paths)
      const view = new RefView(packed, loose.refs)
      view.replaceRecent(recent)
      return new RefStore(paths, options, undefined, view, loose.problems)
    }
    await mkdir(paths.own, { recursive: true, mode: 0o700 })
    const recent = new Map<string, Oid | undefined>()
    const journal = await Journal.open(paths.journal, (name, oid) => recent.set(name, oid))
    try {
      const { packed, loose } = await readDiskRefs(paths)
      const view = new RefView(packed, loose.refs)
      view.replaceRecent(recent)
      const store = new RefStore(paths, options, journal, view, loose.problems)
      if (recent.size > 0) await store.#packInBackground()
      return store
    } catch (error) {
      await journal.close()
      throw error
    }
  }

  /** Files under `refs/` that are no usable refs, as far as the last look at the disk found them. */
  get problems(): readonly LooseRefProblem[] {
    return this.#problems
  }

  /** Number of published packages, that is of refs `refs/<hash>/narinfo`. */
  get packageCount(): number {
    return this.#view.packageCount
  }

  /** The object that a ref names. @throws PackedRefsError when its line in `packed-refs` is damaged */
  get(name: string): Oid | undefined {
    return this.#view.get(name)
  }

  has(name: string): boolean {
    return this.#view.has(name)
  }

  /**
   * The refs whose names begin with the prefix, in byte order, as they are at this moment: later changes do not show.
   *
   * @throws PackedRefsError while iterating, at a damaged line
   */
  list(prefix = ''): Iterable<Ref> {
    return this.#view.list(prefix)
  }

  /** How many refs have names that begin with the prefix. */
  count(prefix = ''): number {
    return this.#view.count(prefix)
  }

  /** The published packages in order of their hashes, as they are at this moment. */
  packages(): Iterable<PackageRefs> {
    return this.#view.packages()
  }

  /** Hash parts of the published packages that have a commit, as `RefView.packageHashes` gives them. */
  packageHashes(): Iterable<Buffer> {
    return this.#view.packageHashes()
  }

  /**
   * Makes changes together: after a crash all of them are there or none. When it resolves they are on the disk and
   * visible here; Git sees them after the next `pack()`. Concurrent batches share one sync; of two that change the same ref the
   * later call wins.
   *
   * @throws InvalidRefUpdateError, RefsReadOnlyError, RefStoreClosedError, JournalBrokenError
   */
  async update(batch: RefBatch): Promise<void> {
    const journal = this.#writable()
    while (this.#paused !== undefined) await this.#paused
    this.#writable()
    checkBatch(batch, this.#view)
    const update = this.#append(journal, batch)
    this.#updates.add(update)
    try {
      await update
    } finally {
      this.#updates.delete(update)
    }
    this.#schedulePack()
  }

  /**
   * Moves the journal's changes into `packed-refs`. Changes wait meanwhile, reading goes on.
   *
   * @throws GitFileLockedError when another Git process keeps its lock, PackedRefsError, RefsReadOnlyError
   */
  async pack(options: AbortOptions = {}): Promise<void> {
    const journal = this.#writable()
    await this.#pack(journal, options)
  }

  /**
   * Looks at what other processes did to the refs.
   *
   * @returns whether anything that Git keeps has changed
   */
  refresh(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#closing !== undefined) throw new RefStoreClosedError(this.gitDir)
      const known = this.#view.packed
      const disk: DiskRefs & { recent?: RefChanges } =
        this.#journal === undefined
          ? await readSnapshot(this.#paths, known)
          : await readDiskRefs(this.#paths, known)
      let changed = disk.packed !== known || !sameRefs(disk.loose.refs, this.#view.loose)
      if (changed) this.#view.replace(disk.packed, disk.loose.refs)
      this.#problems = disk.loose.problems
      if (disk.recent !== undefined && !sameRefs(disk.recent, this.#view.recent)) {
        this.#view.replaceRecent(disk.recent)
        changed = true
      }
      return changed
    })
  }

  /**
   * Packs what is pending and lets go of the files. Resolves once for all calls.
   *
   * @throws what `pack()` throws; the changes are then kept in the journal, and everything is closed nevertheless
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer)
    const journal = this.#journal
    if (journal === undefined) return
    try {
      // A run that is ending may not have seen the last changes; its failure is tried once more.
      await this.#packing?.catch(() => undefined)
      await this.#pack(journal, {})
    } finally {
      await this.#turn
      await journal.close()
    }
  }

  #writable(): Journal {
    if (this.#journal === undefined) throw new RefsReadOnlyError(this.gitDir)
    if (this.#closing !== undefined) throw new RefStoreClosedError(this.gitDir)
    return this.#journal
  }

  async #append(journal: Journal, batch: RefBatch): Promise<void> {
    await journal.append(batch)
    for (const name of batch.delete) this.#view.apply(name, undefined)
    for (const [name, oid] of batch.set) this.#view.apply(name, oid)
    this.#options.onUpdate?.(batch)
  }

  /** Runs one at a time, in the order of the calls. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  /** All that was visible before the call is packed by a run that has not begun yet or still holds back changes. */
  #pack(journal: Journal, { signal }: AbortOptions): Promise<void> {
    const { lockWait } = this.#options
    const options = { ...(signal && { signal }), ...(lockWait !== undefined && { wait: lockWait }) }
    this.#packing ??= this.#inTurn(() => this.#packLocked(journal, options)).finally(() => {
      this.#packing = undefined
    })
    return this.#packing
  }

  async #packLocked(journal: Journal, options: GitFileLockOptions): Promise<void> {
    if (journal.isEmpty && this.#updates.size === 0) return
    const lock = await GitFileLock.acquire(this.#paths.packed, this.#paths.lockMarker, options)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#paused = promise
    try {
      await Promise.allSettled(this.#updates)
      const loose = new Map(this.#view.loose)
      try {
        this.#view.replace(await this.#writePacked(), loose)
      } finally {
        await lock.release()
      }
      const names = [...this.#view.recent.keys()]
      await removeLooseRefs(this.gitDir, names, this.#paths.lockMarker, options)
      for (const name of names) loose.delete(name)
      await journal.reset()
      this.#view.replace(this.#view.packed, loose)
      this.#view.replaceRecent(new Map())
    } finally {
      this.#paused = undefined
      resolve()
    }
  }

  /** Merges the journal's changes into the file as it is now, which another process may have replaced. */
  async #writePacked(): Promise<PackedRefs> {
    const { packed: path, newPacked } = this.#paths
    let packed = this.#view.packed
    if ((await fileVersion(path)) !== packed.version) packed = await PackedRefs.load(path)
    const { recent } = this.#view
    if (!differs(recent, packed)) return packed
    const merged = packed.merge(recent)
    return merged.withVersion(await writePackedRefsFile(path, newPacked, merged))
  }

  #schedulePack(): void {
    const journal = this.#journal
    if (journal === undefined || this.#timer !== undefined || this.#closing !== undefined) return
    const packedBytes = this.#view.packed.length
    const small = packedBytes < (this.#options.smallPackedBytes ?? SMALL_PACKED_BYTES)
    if (small || journal.size > packedBytes * JOURNAL_SHARE) {
      this.#startTimer(this.#options.packDelay ?? PACK_DELAY_MS)
    }
  }

  #startTimer(delay: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.#packInBackground()
    }, delay)
    // The journal holds everything: a process that has nothing else to do may end.
    this.#timer.unref()
  }

  async #packInBackground(): Promise<void> {
    try {
      if (this.#closing === undefined) await this.pack()
    } catch (error) {
      this.#options.onError?.(error)
      if (this.#closing === undefined && this.#timer === undefined) this.#startTimer(PACK_RETRY_MS)
    }
  }
}

function differs(changes: RefChanges, packed: PackedRefs): boolean {
  for (const [name, oid] of changes) if (packed.find(name) !== oid) return true
  return false
}

function sameRefs(a: RefChanges, b: RefChanges): boolean {
  if (a.size !== b.size) return false
  for (const [name, oid] of a) if (b.get(name) !== oid || !b.has(name)) return false
  return true
}
