import { closeSync, fstatSync, openSync, type Stats } from 'node:fs'
import { PackGoneError } from './object-errors.ts'

/** Default for how many files stay open while nobody reads them. */
const DEFAULT_LIMIT = 64

/**
 * Keeps the most recently used files open, up to a limit. A file in use is never closed under its user, so that for a
 * moment there can be more open files than the limit: as many as there are readers.
 */
export class FileHandles {
  readonly #limit: number
  /** Open files that nobody uses, the longest unused first. */
  readonly #idle = new Set<PooledFile>()
  #open = 0

  constructor(limit = DEFAULT_LIMIT) {
    this.#limit = limit
  }

  /** Number of files open now. */
  get open(): number {
    return this.#open
  }

  /** A file of this pool, not opened before it is used; `expected` are the facts that it must have when it is. */
  file(path: string, expected: Pick<Stats, 'ino' | 'size'>): PooledFile {
    return new PooledFile(path, expected, {
      opened: () => {
        this.#open++
        this.#trim()
      },
      closed: (file) => {
        this.#open--
        this.#idle.delete(file)
      },
      used: (file) => this.#idle.delete(file),
      idle: (file) => {
        this.#idle.add(file)
        this.#trim()
      },
    })
  }

  #trim(): void {
    for (const file of this.#idle) {
      if (this.#open <= this.#limit) break
      file.closeIdle()
    }
  }
}

interface PoolHooks {
  opened(): void
  closed(file: PooledFile): void
  used(file: PooledFile): void
  idle(file: PooledFile): void
}

/** One file that its pool may close while nobody uses it, and that opens again by itself. */
export class PooledFile {
  readonly path: string
  readonly #expected: Pick<Stats, 'ino' | 'size'>
  readonly #hooks: PoolHooks
  #fd: number | undefined
  #users = 0
  #closed = false

  constructor(path: string, expected: Pick<Stats, 'ino' | 'size'>, hooks: PoolHooks) {
    this.path = path
    this.#expected = expected
    this.#hooks = hooks
  }

  /**
   * The file's descriptor, valid until `release`.
   *
   * @throws PackGoneError when the file is no longer there, is another one, or was closed for good
   */
  acquire(): number {
    if (this.#fd === undefined) {
      if (this.#closed) throw new PackGoneError(this.path)
      this.#fd = this.#openChecked()
      this.#users++
      this.#hooks.opened()
      return this.#fd
    }
    if (this.#users++ === 0) this.#hooks.used(this)
    return this.#fd
  }

  /** Ends one use. */
  release(): void {
    if (--this.#users > 0 || this.#fd === undefined) return
    if (this.#closed) this.closeIdle()
    else this.#hooks.idle(this)
  }

  /** Closes the file for good, as soon as its last user has released it. */
  close(): void {
    this.#closed = true
    if (this.#users === 0) this.closeIdle()
  }

  /** Closes the descriptor of a file that nobody uses; the next use opens it again. */
  closeIdle(): void {
    if (this.#fd === undefined) return
    closeSync(this.#fd)
    this.#fd = undefined
    this.#hooks.closed(this)
  }

  #openChecked(): number {
    let fd: number
    try {
      fd = openSync(this.path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw new PackGoneError(this.path, { cause: error })
      throw error
    }
    const found = fstatSync(fd)
    // Not the time: git sets it anew on packs that it finds an object in.
    if (found.ino === this.#expected.ino && found.size === this.#expected.size) return fd
    closeSync(fd)
    throw new PackGoneError(this.path)
  }
}
