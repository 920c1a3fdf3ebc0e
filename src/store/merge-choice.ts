import { crc32 } from 'node:zlib'
import { isDelta } from '../git/pack/format.ts'
import type { LeaveOut } from '../git/pack/merge-plan.ts'
import type { Pack } from '../git/pack/pack.ts'

/** Every pack shall be at least this many times as large as all smaller ones together. */
const FACTOR = 2
/** Larger entries are not read only to know whether they are sound. */
const LARGEST_CHECKED = 1024 * 1024

/**
 * How many of the smallest packs to merge into one so that every pack is at least twice as large as all smaller ones
 * together (`git repack --geometric` does the same by number of objects; here it is bytes, because they are what merging
 * costs). `n` packs that are so have at least 3^(n-1) times the bytes of the smallest, and a byte that is copied comes to
 * lie in a pack at least half as large again, so that both the packs and the copying stay logarithmic.
 *
 * @param sizes in ascending order
 * @param most bytes to copy; when the rule asks for more, the smallest packs that fit
 * @returns 0, or at least 2
 */
export function countToMerge(sizes: readonly number[], most: number): number {
  let count = 0
  let sum = 0
  for (const [i, size] of sizes.entries()) {
    if (i > 0 && size < FACTOR * sum) count = i + 1
    sum += size
  }
  sum = 0
  for (const [i, size] of sizes.slice(0, count).entries()) {
    sum += size
    if (sum > most) return i < 2 ? 0 : i
  }
  return count
}

/**
 * Which objects of the chosen packs can stay behind: those that a pack which stays is asked for first, and has whole.
 * What is found first remains the same by that.
 *
 * @param all packs in the order of look-up
 */
export function answeredElsewhere(all: readonly Pack[], chosen: ReadonlySet<Pack>): LeaveOut {
  const staying: Pack[] = []
  const askedBefore = new Map<Pack, readonly Pack[]>()
  for (const pack of all) {
    if (chosen.has(pack)) askedBefore.set(pack, [...staying])
    else staying.push(pack)
  }
  return (oid, pack) =>
    askedBefore.get(pack)!.some((other) => {
      const position = other.index.find(oid)
      return position >= 0 && isSound(other, position)
    })
}

/** Whether an entry is an object as it is, and undamaged. */
function isSound(pack: Pack, position: number): boolean {
  const { index } = pack
  const length = index.lengthAt(position)
  if (length > LARGEST_CHECKED) return false
  const raw = Buffer.allocUnsafe(length)
  try {
    const offset = index.offsetAt(position)
    return (
      pack.readSync(raw, offset) === length &&
      !isDelta(pack.parseEntry(raw, offset).type) &&
      crc32(raw) === index.crc32At(position)
    )
  } catch {
    // Whatever is wrong with that copy, this one is needed.
    return false
  }
}
