/** A map of bounded size whose entries end: the oldest go first when it is full. Without a timer: the time is handed in. */
export class ExpiringMap<K, V> {
  readonly #limit: number
  readonly #lifetime: number
  /** In the order in which they were set, which is that of their ends. */
  readonly #entries = new Map<K, { readonly value: V; readonly end: number }>()

  /** @param lifetime in milliseconds */
  constructor(limit: number, lifetime: number) {
    this.#limit = limit
    this.#lifetime = lifetime
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: K, now: number): V | undefined {
    const entry = this.#entries.get(key)
    return entry === undefined || entry.end <= now ? undefined : entry.value
  }

  set(key: K, value: V, now: number): void {
    this.#entries.delete(key)
    for (const [oldest, { end }] of this.#entries) {
      if (this.#entries.size < this.#limit && end > now) break
      this.#entries.delete(oldest)
    }
    this.#entries.set(key, { value, end: now + this.#lifetime })
  }

  delete(key: K): void {
    this.#entries.delete(key)
  }
}
