/** Random numbers that depend on nothing but the seed. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }

  /** From 0 to `limit - 1`; 0 when `limit` is 0. */
  below(limit: number): number {
    return limit === 0 ? 0 : this.bits() % limit
  }

  /** From 1 to `limit`, small numbers more often than large ones. */
  small(limit: number): number {
    return 1 + this.below(1 + this.below(limit))
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
}
