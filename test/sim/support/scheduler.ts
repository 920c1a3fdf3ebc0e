/** Milliseconds of virtual time between two looks at whether a run is done. */
const LOOK_EVERY = 200

/** A virtual clock: events in the order of their times, and of their being planned where times are equal. */
export class Scheduler {
  #now: number
  #sequence = 0
  /** Binary heap. */
  readonly #heap: { at: number; order: number; run: () => void }[] = []
  /** What an event began and the next one must not overtake. */
  readonly #background: Promise<unknown>[] = []

  constructor(start: number) {
    this.#now = start
  }

  get now(): number {
    return this.#now
  }

  at(time: number, run: () => void): void {
    const event = { at: Math.max(time, this.#now), order: this.#sequence++, run }
    const heap = this.#heap
    let index = heap.push(event) - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
  }

  after(delay: number, run: () => void): void {
    this.at(this.#now + delay, run)
  }

  /** Lets a promise settle before the next event. */
  background(promise: Promise<unknown>): void {
    this.#background.push(promise)
  }

  /** Runs for so many milliseconds, or until `done`, asked now and then, holds. @returns whether it holds; `true` without one */
  async run(duration: number, done?: () => boolean): Promise<boolean> {
    const end = this.#now + duration
    let look = this.#now
    for (;;) {
      if (this.#background.length > 0) await Promise.all(this.#background.splice(0))
      if (done !== undefined && this.#now >= look) {
        if (done()) return true
        look = this.#now + LOOK_EVERY
      }
      const next = this.#heap[0]
      if (next === undefined || next.at > end) break
      this.#pop()
      this.#now = next.at
      next.run()
    }
    this.#now = end
    return done?.() ?? true
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
  }
}

function before(a: { at: number; order: number }, b: { at: number; order: number }): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
