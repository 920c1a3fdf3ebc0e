import type { PathInfo } from '../../nix/path-info.ts'
import { errorCode, type GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Proof } from '../admit/trust.ts'
import type { HealthRecord } from './health.ts'
import { isOwnFailure } from './own-failure.ts'
import type { Source } from './source.ts'

/** A package that a source has and that may be fetched from it. */
export interface Found {
  readonly info: PathInfo
  readonly proof: Proof
  /** The announced commit, from a repository. */
  readonly commit?: string
}

/** What a source answered about some packages. Those in neither list it does not have. */
export interface Findings {
  /** By hash part. */
  readonly found: ReadonlyMap<string, Found>
  /** Why packages that the source has may not be fetched from it. */
  readonly refused: readonly GachixError[]
}

/**
 * What a failure to fetch says of the source. Bytes that are not what they were announced as are a lie; everything else can
 * happen to an honest one. `undefined`: nothing, as the failure is ours.
 */
export function verdictOf(error: unknown): Verdict | undefined {
  if (isOwnFailure(error)) return undefined
  const code = errorCode(error)
  if (LIES.has(code)) return 'lied'
  if (code === 'ERR_SOURCE_STALLED') return 'trickled'
  return code === 'ERR_PACK_INCOMPLETE' || code === 'ERR_GIT_OBJECT_NOT_FOUND'
    ? 'did not have it'
    : 'broke off'
}

const LIES: ReadonlySet<string> = new Set([
  'ERR_NAR_MISMATCH',
  'ERR_COMMIT_MISMATCH',
  'ERR_TREE_NOT_PACKAGE',
  'ERR_CONTENT_ADDRESS_MISMATCH',
  'ERR_PACK_INVALID',
  'ERR_BUDGET_EXCEEDED',
])

export interface FetchOptions extends AbortOptions {
  /** Told of bytes as they come over the wire. */
  readonly onBytes: (bytes: number) => void
  /** Told when everything has come, and nothing is left to do but to prove and publish it. */
  readonly onPublishing: () => void
  /** Milliseconds of waiting for next to nothing after which a source is left, when others have the same. */
  readonly patience?: number
  /** Told when one has failed or been left, and the others go on. */
  readonly onLeft?: () => void
  /** Told of each package that has been proven. */
  readonly onPackage: (info: PathInfo) => void
}

/** What came of fetching from a source. */
export type Verdict = 'delivered' | 'did not have it' | 'broke off' | 'trickled' | 'lied'

/** A source in use: connections that are kept, and a record of how it does. */
export interface SourceLink {
  readonly source: Source
  readonly health: HealthRecord
  /** Whether it may have a package, as far as is known without asking it. */
  mayHave(hash: string): boolean
  /** Notes what came of fetching a package, for sources that are chosen by how they do. */
  judge(hash: string, verdict: Verdict, details?: string): void
  /**
   * Asks for packages by their hash parts, and checks what it hears against the source's rule.
   *
   * @throws GachixError when the source cannot answer
   */
  find(hashes: readonly string[], options: AbortOptions): Promise<Findings>
  /** Makes ready what fetching needs, while it is found out what there is to fetch. @returns says that fetching has begun, or will not */
  prepare?(): () => Promise<void>
  /**
   * Fetches, proves and publishes packages, references first; what they refer to beside each other is published.
   *
   * @param others further sources that may have the same packages, and then may help; who has others, or fails, is not blamed
   * @throws GachixError; what was complete before is published
   */
  fetch(packages: readonly Found[], others: readonly SourceLink[], options: FetchOptions): Promise<void>
  /** Lets go of what is kept open. */
  close(): Promise<void>
}
