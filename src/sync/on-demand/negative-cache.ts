import { recent } from '../../util/recent.ts'
import { NEGATIVE_ENTRIES, NEGATIVE_TTL, NEGATIVE_TTL_UNSURE } from '../limits.ts'

/** Remembers for a while which packages nobody has, so that asking for them again costs nothing. */
export class NegativeCache {
  readonly #missing = recent<string, true>(NEGATIVE_ENTRIES)

  has(hash: string): boolean {
    return this.#missing.has(hash)
  }

  /** @param sure whether every source has answered */
  add(hash: string, sure: boolean): void {
    this.#missing.set(hash, true, { ttl: sure ? NEGATIVE_TTL : NEGATIVE_TTL_UNSURE })
  }

  /** Somebody may have the package now. */
  delete(hash: string): void {
    this.#missing.delete(hash)
  }

  /** New sources may have anything. */
  clear(): void {
    this.#missing.clear()
  }
}
