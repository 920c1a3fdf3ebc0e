import { BLOBS_A_REQUEST } from '../limits.ts'

/** Shares that each giver should get of a batch: enough to even out how fast they are. */
const SHARES_EACH = 4
/** Fewer blobs are not worth asking another source for. */
export const LEAST_SHARE = 16
/** Bytes of NAR up to which a package comes from one giver, so that its NAR can be hashed as it comes. */
const WHOLE_PACKAGE = 64 * 1024 * 1024

/** What is missing of a package. */
export interface MissingContents {
  readonly narSize: number
  /** Ids in the order of the NAR. */
  readonly blobs: readonly string[]
}

/**
 * Cuts what is missing into requests, in the order in which they should be made. Packages stay whole, unless they are so large that
 * sharing them is worth reading them again, or somebody would have nothing to do.
 *
 * @param working givers that are asked at once
 * @param givers those and others, who may take something over
 */
export function intoShares(
  packages: readonly MissingContents[],
  working: number,
  givers: number = working,
): string[][] {
  if (givers === 1) return cut(packages, BLOBS_A_REQUEST, Infinity)
  const total = packages.reduce((sum, { blobs }) => sum + blobs.length, 0)
  const size = Math.max(LEAST_SHARE, Math.ceil(total / (working * SHARES_EACH)))
  const most = Math.min(BLOBS_A_REQUEST, size)
  const shares = cut(packages, most, WHOLE_PACKAGE)
  return shares.length < working ? cut(packages, most, 0) : shares
}

/**
 * @param most blobs in a share that is not one package
 * @param whole packages of NARs up to this size are not cut
 */
function cut(packages: readonly MissingContents[], most: number, whole: number): string[][] {
  const shares: string[][] = []
  let open: string[] = []
  const close = (): void => {
    if (open.length > 0) shares.push(open)
    open = []
  }
  for (const { narSize, blobs } of packages) {
    const length = narSize <= whole && blobs.length <= BLOBS_A_REQUEST ? BLOBS_A_REQUEST : most
    if (open.length + blobs.length > length) close()
    for (let at = 0; at < blobs.length; at += length) {
      open.push(...blobs.slice(at, at + length))
      if (open.length >= most) close()
    }
  }
  close()
  return shares
}
