import type { NixHash } from './hash.ts'
import type { StorePath } from './store-path.ts'

/**
 * What Nix knows about a valid store path (Nix calls it `ValidPathInfo`): the signed facts and what travels with them.
 * It says nothing of how a cache compresses or names the NAR.
 */
export interface PathInfo {
  readonly storePath: StorePath
  /** SHA-256 of the uncompressed NAR. */
  readonly narHash: NixHash
  /** Length of the uncompressed NAR in bytes, greater than 0. */
  readonly narSize: number
  /** References in byte order of their base names; holds the path itself where it refers to itself. */
  readonly references: readonly StorePath[]
  readonly deriver?: StorePath
  /** `name:base64` signatures over the fingerprint, as they came. */
  readonly signatures: readonly string[]
  /** Content address in Nix's text form (`text:sha256:…`, `fixed:r:sha256:…`), when the path has one. */
  readonly ca?: string
}
