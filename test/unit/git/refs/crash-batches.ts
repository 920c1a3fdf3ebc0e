import type { RefBatch } from '../../../../src/git/refs/journal.ts'

/** Value of the loose refs that the batches replace or delete. */
export const LOOSE_VALUE = 'f'.repeat(40)

const LETTERS = '0123456789abcdfg'

function hashOf(number: number): string {
  let hash = ''
  for (let rest = number; hash.length < 32; rest = Math.floor(rest / 16)) hash = LETTERS[rest % 16] + hash
  return hash
}

/** A loose ref that batch `number` deletes when it is a multiple of 4, and sets otherwise. */
export function looseName(number: number): string {
  return `refs/${hashOf(number)}/tree`
}

/** The value that batch `number` sets everywhere. */
export function objectOf(number: number): string {
  return number.toString(16).padStart(40, '0')
}

/** Batch `number`: a package, a counter that every batch sets, and the loose ref. */
export function batchOf(number: number): RefBatch {
  const value = objectOf(number)
  const deletes = number % 4 === 0
  return {
    set: [
      [`refs/${hashOf(number)}/narinfo`, value],
      [`refs/${hashOf(number)}/result`, value],
      [`refs/heads/counter${number % 2}`, value],
      ...(deletes ? [] : [[looseName(number), value] as [string, string]]),
    ],
    delete: deletes ? [looseName(number)] : [],
  }
}
