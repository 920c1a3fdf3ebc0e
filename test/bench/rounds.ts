/** Rounds in which the product and its yardsticks take turns. */

export interface Turns {
  readonly rounds: number
  /** One round more, before the others, whose results are thrown away. */
  readonly warmUp?: boolean
  /** Ends the run between two turns. */
  readonly signal: AbortSignal
}

/**
 * Does every contender's work once a round. Each round starts with another contender, so that nobody always comes after
 * the same one.
 *
 * @returns each contender's results, in the order of the rounds
 */
export async function takeTurns<C, R>(
  contenders: readonly C[],
  work: (contender: C) => Promise<R>,
  { rounds, signal, warmUp = false }: Turns,
): Promise<Map<C, R[]>> {
  const results = new Map<C, R[]>(contenders.map((contender) => [contender, []]))
  for (let round = warmUp ? -1 : 0; round < rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      signal.throwIfAborted()
      const contender = contenders[(Math.max(0, round) + turn) % contenders.length]!
      const result = await work(contender)
      if (round >= 0) results.get(contender)!.push(result)
    }
  }
  return results
}
