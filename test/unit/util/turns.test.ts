import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { atOnce, inTurns, Turns } from '../../../src/util/turns.ts'

/** How long the works of these tests keep the thread at most, in milliseconds; a turn is shorter. */
const LONG = 20

describe('Turns', () => {
  it('asks for no pause before a turn is over, and for one after', async () => {
    await setImmediate()
    const turns = new Turns()
    assert.equal(turns.next(), undefined)
    work(LONG)
    assert.equal(turns.over, true)
    const counting = countLoops()
    await turns.next()
    counting.running = false
    await setImmediate()
    assert.ok(counting.loops > 0)
  })

  it('lets the loop turn between the turns of several works, which have them in the order of asking', async () => {
    await setImmediate()
    const log: string[] = []
    const counting = countLoops()
    const works = ['a', 'b', 'c'].map(async (name) => {
      const turns = new Turns()
      for (let step = 0; step < 3; step++) {
        const pause = turns.next()
        if (pause !== undefined) await pause
        log.push(`${name}${step} ${counting.loops}`)
        work(LONG)
      }
    })
    await Promise.all(works)
    counting.running = false
    const [names, loops] = [log.map((line) => line.slice(0, 2)), log.map((line) => Number(line.slice(3)))]
    assert.deepEqual(names, ['a0', 'a1', 'b0', 'c0', 'a2', 'b1', 'c1', 'b2', 'c2'])
    // No two of them within one turn of the loop.
    assert.equal(new Set(loops).size, loops.length, log.join(', '))
  })

  it('ends a work whose signal fires while it waits', async () => {
    await setImmediate()
    const controller = new AbortController()
    const turns = new Turns(controller.signal)
    turns.next()
    work(LONG)
    const waiting = turns.next()
    controller.abort(new Error('no longer wanted'))
    await assert.rejects(async () => await waiting, { code: 'ERR_ABORTED' })
    assert.throws(() => turns.next(), { code: 'ERR_ABORTED' })
  })
})

describe('work in steps', () => {
  it('gives its result in turns and at once, and its error', async () => {
    assert.equal(await inTurns(sumTo(1000), new Turns()), 500_500)
    assert.equal(atOnce(sumTo(1000)), 500_500)
    await assert.rejects(inTurns(sumTo(-1), new Turns()), RangeError)
    assert.throws(() => atOnce(sumTo(-1)), RangeError)
  })

  it('leaves the thread to others', async () => {
    const counting = countLoops()
    await inTurns(slow(5), new Turns())
    counting.running = false
    assert.ok(counting.loops >= 4, `${counting.loops} turns of the loop`)
  })
})

function* sumTo(last: number): Generator<void, number> {
  if (last < 0) throw new RangeError('nothing to sum up')
  let sum = 0
  for (let number = 1; number <= last; number++) {
    sum += number
    yield
  }
  return sum
}

function* slow(steps: number): Generator<void, void> {
  for (let step = 0; step < steps; step++) {
    work(LONG)
    yield
  }
}

/** Keeps the thread. */
function work(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

/** Counts how often the event loop turns. */
function countLoops(): { loops: number; running: boolean } {
  const counting = { loops: 0, running: true }
  void (async () => {
    while (counting.running) {
      await setImmediate()
      counting.loops++
    }
  })()
  return counting
}
