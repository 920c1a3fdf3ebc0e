/**
 * Watches the event loop of the program that it is loaded into (`node --import`): how long it went between two of its turns, and how
 * much of that its thread worked instead of waiting for a processor. Written when the program ends to the file that
 * `BENCH_LOOP_WATCH` names.
 */
import { writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

/** One turn of the loop that took long. */
export interface LongTurn {
  /** When it ended, in milliseconds since 1970. */
  readonly at: number
  /** Milliseconds. */
  readonly wall: number
  readonly cpu: number
}

/** A turn of less is not kept, in milliseconds: the timer itself is this coarse. */
const LEAST = 2

const file = process.env.BENCH_LOOP_WATCH
if (isMainThread && file !== undefined && process.argv.includes('serve')) {
  const turns: LongTurn[] = []
  let [before, worked] = [performance.now(), cpu()]
  setInterval(() => {
    const [now, work] = [performance.now(), cpu()]
    if (now - before > LEAST) turns.push({ at: Date.now(), wall: now - before, cpu: work - worked })
    before = now
    worked = work
  }, 1).unref()
  process.on('exit', () => writeFileSync(file, JSON.stringify(turns)))
}

function cpu(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
