import type { RemotePackage, RepositorySession } from '../../store/api.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Found, Verdict } from '../source/link.ts'

/** A package with the commit that a repository announces. */
export type Announced = Found & { readonly commit: string }

/** Whom objects are fetched from. */
export interface Giver {
  /** Told what came of it. */
  judge(hash: string, verdict: Verdict, details?: string): void
  use<T>(work: (session: RepositorySession) => Promise<T>, options: AbortOptions): Promise<T>
  /** What it has of packages, by their hash parts. */
  announced(hashes: readonly string[], options: AbortOptions): Promise<ReadonlyMap<string, RemotePackage>>
}
