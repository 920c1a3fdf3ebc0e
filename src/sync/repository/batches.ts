import { BATCH_BYTES, BATCH_PACKAGES, FIRST_BATCH_BYTES } from '../limits.ts'
import type { Found } from '../source/link.ts'

/** Cuts packages into what is fetched and published together, keeping their order; the first batches are smaller. */
export function* inBatches<T extends Found>(packages: readonly T[]): Generator<readonly T[]> {
  let batch: T[] = []
  let bytes = 0
  let limit = FIRST_BATCH_BYTES
  for (const found of packages) {
    const full = batch.length === BATCH_PACKAGES || bytes + found.info.narSize > limit
    if (full && batch.length > 0) {
      yield batch
      batch = []
      bytes = 0
      limit = Math.min(2 * limit, BATCH_BYTES)
    }
    batch.push(found)
    bytes += found.info.narSize
  }
  if (batch.length > 0) yield batch
}
