/** Order statistics. */

/** The value below which `fraction` (0 to 1) of the values lie, by the nearest rank. NaN without values. */
export function quantile(values: ArrayLike<number>, fraction: number): number {
  const sorted = Float64Array.from(values).sort()
  const rank = Math.ceil(fraction * sorted.length) - 1
  return sorted[Math.max(0, rank)] ?? Number.NaN
}

/** The middle value, or the mean of the two in the middle. NaN without values. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort()
  const middle = sorted.length / 2
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** The arithmetic mean. NaN without values. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let index = 0; index < values.length; index++) sum += values[index]!
  return sum / values.length
}
