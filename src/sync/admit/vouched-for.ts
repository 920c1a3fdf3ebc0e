import { signedInfo } from '../../ingest/signed-source.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { SecretKey } from '../../nix/signature.ts'
import type { Proof } from './trust.ts'

/**
 * A package with what speaks for it. What is believed because its source is gets the node's signature: the operator has said
 * that the node may vouch for it.
 */
export function vouchedFor(info: PathInfo, proof: Proof, key: SecretKey): { info: PathInfo; proof: Proof } {
  return { info: proof.by === 'source' ? signedInfo(info, key) : info, proof }
}
