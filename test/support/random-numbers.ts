/** Pseudo-random numbers from 0 to 1, the same ones for one seed (a linear congruential generator). */
export function randomNumbers(seed: number): () => number {
  let state = BigInt(seed) * 2n + 1n
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn
    return Number(state >> 11n) / 2 ** 53
  }
}
