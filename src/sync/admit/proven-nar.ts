import { createContentCheck } from '../../nix/content-check.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { Proof } from './trust.ts'

/**
 * A NAR as it comes, compared with the package's content address where nothing else speaks for the package. Its hash
 * and size are compared by whoever stores it.
 *
 * @throws ContentAddressMismatchError at the end
 */
export async function* provenNar(
  info: PathInfo,
  proof: Proof,
  nar: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const check = proof.by === 'content-address' ? createContentCheck(info) : undefined
  for await (const chunk of nar) {
    check?.update(chunk)
    yield chunk
  }
  check?.finish()
}
