import type { PackageSource, RepositorySource } from '../../store/api.ts'
import type { TrustRule } from '../admit/trust.ts'

/** Where packages can come from, in the order in which they are asked. */
export const SOURCE_KINDS = ['daemon', 'peer', 'remote', 'builder', 'upstream'] as const

export type SourceKind = (typeof SOURCE_KINDS)[number]

/** A source of packages with what it must show. One that gives NARs, or one that is a repository in our format. */
export type Source = SourceFacts & (NarSource | RepositoryBacked)

interface SourceFacts {
  /** Unique among the node's sources; what `--from` names. */
  readonly name: string
  readonly kind: SourceKind
  readonly trust: TrustRule
}

export interface NarSource {
  readonly gives: 'nars'
  readonly packages: PackageSource
}

export interface RepositoryBacked {
  readonly gives: 'objects'
  readonly repository: RepositorySource
}
