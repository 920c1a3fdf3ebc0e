import type { PathInfo } from '../nix/path-info.ts'
import { type SecretKey, sign } from '../nix/signature.ts'
import type { StorePath } from '../nix/store-path.ts'
import type { PackageSource } from '../store/api.ts'
import type { AbortOptions } from '../util/lifecycle.ts'

/**
 * The facts of a package with the signature of this node among those that came. Kept with the package, it lets other nodes
 * that trust this one take the package from its repository, in whatever way they reach that.
 */
export function signedInfo(info: PathInfo, key: SecretKey): PathInfo {
  return { ...info, signatures: [...new Set([...info.signatures, sign(key, info)])] }
}

/** A source whose packages the node vouches for: the Nix daemon of its own machine. */
export class SignedSource implements PackageSource {
  readonly name: string
  readonly #source: PackageSource
  readonly #key: SecretKey

  constructor(source: PackageSource, key: SecretKey) {
    this.name = source.name
    this.#source = source
    this.#key = key
  }

  async pathInfo(path: StorePath | string, options?: AbortOptions): Promise<PathInfo | undefined> {
    const info = await this.#source.pathInfo(path, options)
    return info && signedInfo(info, this.#key)
  }

  nar(info: PathInfo, options?: AbortOptions): AsyncIterable<Uint8Array> {
    return this.#source.nar(info, options)
  }
}
