import type { RefBatch } from '../git/refs/journal-format.ts'
import { parsePackageRef } from '../git/refs/package-refs.ts'

/** Is told the hash parts of packages whose refs have changed. Must not throw. */
export type PackageListener = (hashes: ReadonlySet<string>) => void

/** Passes on which packages changed. */
export class PackageChanges {
  readonly #listeners = new Set<PackageListener>()

  listen(listener: PackageListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Refs have changed. */
  told(batch: RefBatch): void {
    if (this.#listeners.size === 0) return
    const hashes = new Set<string>()
    for (const name of [...Array.from(batch.set, ([name]) => name), ...batch.delete]) {
      const ref = parsePackageRef(name)
      if (ref !== undefined) hashes.add(ref.hash)
    }
    if (hashes.size > 0) for (const listener of this.#listeners) listener(hashes)
  }
}
