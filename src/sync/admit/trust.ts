import { checkContentAddress } from '../../nix/content-address.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { type PublicKey, verify } from '../../nix/signature.ts'
import { GachixError } from '../../util/errors.ts'

/** What one source must show before anything of a package is fetched from it. */
export interface TrustRule {
  /** Off: what the source says is believed; hashes are checked all the same. */
  readonly requireSignatures: boolean
  /** Keys whose signatures count: the node's trusted ones and the source's own. */
  readonly publicKeys: readonly PublicKey[]
}

/** Why a package may be fetched. */
export type Proof =
  | { readonly by: 'signature'; readonly keys: readonly string[] }
  /** Its path follows from its content; the content has to be compared with the address as it comes. */
  | { readonly by: 'content-address' }
  /** The source is trusted without signatures. */
  | { readonly by: 'source' }

/** A package is signed by no trusted key, and its path does not follow from its content. */
export class UntrustedPackageError extends GachixError {
  constructor(info: PathInfo, source: string, reason: string) {
    super('ERR_UNTRUSTED', `${info.storePath} of ${source} is refused: ${reason}`)
  }
}

/**
 * The first step of admission: whether a package's facts are trustworthy. Nothing of its contents is looked at.
 *
 * @throws UntrustedPackageError that names the package, the rule that it breaks, and the source
 */
export function checkTrust(info: PathInfo, source: string, rule: TrustRule): Proof {
  const address = checkContentAddress(info)
  // A wrong address spoils the package for Nix clients, whatever else speaks for it.
  if (address === 'mismatch') {
    throw new UntrustedPackageError(
      info,
      source,
      `its content address ${JSON.stringify(info.ca)} does not make this path`,
    )
  }
  const keys = verify(rule.publicKeys, info)
  if (keys.length > 0) return { by: 'signature', keys }
  if (address === 'ok') return { by: 'content-address' }
  if (!rule.requireSignatures) return { by: 'source' }
  throw new UntrustedPackageError(info, source, missingSignature(info, rule))
}

function missingSignature({ signatures }: PathInfo, { publicKeys }: TrustRule): string {
  const hint =
    'add its public key to trust.public_keys, or set require_signatures: false for a source that you trust blindly'
  if (publicKeys.length === 0) return `signatures are required and no key is trusted; ${hint}`
  const trusted = new Set(publicKeys.map(({ name }) => name))
  const names = [...new Set(signatures.map((text) => text.split(':', 1)[0] ?? ''))]
  const wrong = names.filter((name) => trusted.has(name))
  if (wrong.length > 0) {
    const text = `its signature by ${wrong.join(', ')} is not one of the trusted key of that name`
    return `${text}: it was changed, or signed by another key that is called the same; ${hint}`
  }
  if (names.length === 0) return `it is not signed; ${hint}`
  return `it is signed by ${names.join(', ')}, none of which is trusted; ${hint}`
}
