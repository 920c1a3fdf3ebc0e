/** Longer words are typed or generated wrong in ways that a suggestion does not mend; it also bounds the work. */
const MAX_WORD_LENGTH = 80

/**
 * The candidate that a mistyped word most likely means: the nearest by edit distance, at most a third of the word's
 * length away (and at least two edits are forgiven). For dotted keys an exact last part wins, so that `builders` finds
 * `store.builders`.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > MAX_WORD_LENGTH) return undefined
  const lower = word.toLowerCase()
  const lastPart = lower.slice(lower.lastIndexOf('.') + 1)
  const sameName = candidates.filter((candidate) => candidate.split('.').at(-1) === lastPart)
  if (sameName.length === 1) return sameName[0]

  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Levenshtein distance: insertions, deletions and replacements of single UTF-16 units. */
export function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1))
    }
    previous = current
  }
  return previous[b.length]!
}
