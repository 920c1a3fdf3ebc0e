import { readdir, stat } from 'node:fs/promises'

/** A change within this time after a listing may bear the listing's own time stamp and must not be missed. */
const RACY_MILLISECONDS = 2000

/** Lists one directory, again only after it has changed. */
export class DirectoryWatch {
  readonly path: string
  #mtimeMs = -1

  constructor(path: string) {
    this.path = path
  }

  /**
   * The names in the directory, or `undefined` when they are the same as at the last call. A directory that does not
   * exist has no names.
   */
  async changes(): Promise<string[] | undefined> {
    const now = Date.now()
    try {
      const { mtimeMs } = await stat(this.path)
      if (mtimeMs === this.#mtimeMs) return undefined
      const names = await readdir(this.path)
      this.#mtimeMs = now - mtimeMs > RACY_MILLISECONDS ? mtimeMs : -1
      return names
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      this.#mtimeMs = -1
      return []
    }
  }

  /** Makes the next call list the directory whatever its time stamp. */
  forget(): void {
    this.#mtimeMs = -1
  }
}
