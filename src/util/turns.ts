import { AbortedError } from './errors.ts'

/**
 * How long work on a thread that also answers requests goes on before the event loop gets its turn, in milliseconds: several times
 * what a turn of the loop costs, and little beside what a client notices.
 */
const TURN_MS = 1

/** When the loop's present turn was first asked about; `undefined` when nobody has asked in it. */
let began: number | undefined
/** Those who have had their turn and wait for the next, of all works on this thread. */
const waiting: (() => void)[] = []

/**
 * Breaks long work into turns. All works on a thread share the turns of its event loop: however many there are, the loop is held
 * up by one of them at a time, and whoever waits for another turn has it in the order of asking.
 */
export class Turns {
  readonly #signal: AbortSignal | undefined

  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /** Whether the turn is over, so that `next` would wait. */
  get over(): boolean {
    return isOver()
  }

  /** To be awaited before each step, if it is anything. @throws AbortedError */
  next(): Promise<void> | undefined {
    this.#check()
    return isOver() ? this.#pause() : undefined
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => waiting.push(resolve))
    this.#check()
  }

  #check(): void {
    if (this.#signal?.aborted) throw new AbortedError(undefined, { cause: this.#signal.reason })
  }
}

/** Does work that pauses where others may have their turn. @throws AbortedError */
export async function inTurns<T>(work: Generator<void, T, void>, turns: Turns): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
    const pause = turns.next()
    if (pause !== undefined) await pause
  }
}

/** Does such work without a pause. */
export function atOnce<T>(work: Generator<void, T, void>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

function isOver(): boolean {
  const now = performance.now()
  if (began === undefined) {
    began = now
    setImmediate(nextTurn)
  }
  return now - began >= TURN_MS
}

function nextTurn(): void {
  const resolve = waiting.shift()
  if (resolve === undefined) {
    began = undefined
    return
  }
  began = performance.now()
  setImmediate(nextTurn)
  resolve()
}
