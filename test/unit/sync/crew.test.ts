import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Crew } from '../../../src/sync/repository/crew.ts'

/** A crew for pieces of work that take so many milliseconds each; tells who did which. */
class Pieces {
  readonly done: string[] = []
  readonly #left: number[]
  readonly #takes: number
  readonly #sound: (giver: string, piece: number) => boolean
  most = 0
  recruitings = 0
  #atWork = 0

  constructor(count: number, takes: number, sound: (giver: string, piece: number) => boolean = () => true) {
    this.#left = Array.from({ length: count }, (_, i) => i)
    this.#takes = takes
    this.#sound = sound
  }

  get left(): number {
    return this.#left.length
  }

  /** @param recruits who join when they are asked */
  async share(crew: Crew, givers: readonly string[], recruits: readonly string[] = []): Promise<void> {
    await crew.share(
      givers,
      () => this.#left.length > 0,
      (giver) => this.#work(giver),
      (join) => {
        this.recruitings++
        for (const giver of recruits) join(giver)
      },
    )
  }

  async #work(giver: string): Promise<boolean> {
    this.most = Math.max(this.most, ++this.#atWork)
    try {
      for (let piece = this.#left.shift(); piece !== undefined; piece = this.#left.shift()) {
        await delay(this.#takes)
        if (!this.#sound(giver, piece)) {
          this.#left.push(piece)
          return false
        }
        this.done.push(`${giver} ${piece}`)
      }
      return true
    } finally {
      this.#atWork--
    }
  }
}

/** Threads that work such shares of the time. */
function threads(...utilizations: (() => number)[]): () => number[] {
  let at = performance.now()
  const worked = utilizations.map(() => 0)
  return () => {
    const now = performance.now()
    for (const [i, utilization] of utilizations.entries()) worked[i]! += (now - at) * utilization()
    at = now
    return [...worked]
  }
}
const busy = () => 0.9
const idle = () => 0.1

describe('a crew', () => {
  it('is one giver as long as this node is busy', async () => {
    const pieces = new Pieces(40, 40)
    const crew = new Crew(threads(idle, busy))
    assert.equal(crew.reach(3), 3, 'as long as nothing is known')
    await pieces.share(crew, ['a', 'b', 'c'])
    assert.deepEqual([pieces.most, crew.size, crew.reach(3)], [1, 1, 1])
    assert.ok(pieces.done.every((each) => each.startsWith('a ')))
  })

  it('grows while this node has time to spare, stays so, and shrinks when it is busy', async () => {
    let utilization = 0.1
    const crew = new Crew(threads(() => utilization, idle))
    const pieces = new Pieces(40, 40)
    await pieces.share(crew, ['a', 'b', 'c'])
    assert.deepEqual([pieces.most, crew.size, pieces.done.length], [3, 3, 40])
    assert.deepEqual([crew.reach(5), crew.reach(2)], [5, 2])
    utilization = 0.5
    const next = new Pieces(6, 40)
    await next.share(crew, ['a', 'b', 'c'])
    assert.equal(next.most, 3)
    utilization = 0.9
    await new Pieces(80, 40).share(crew, ['a', 'b', 'c'])
    assert.equal(crew.size, 1)
  })

  it('looks for more givers once, when there is time to spare and nobody is left who rests', async () => {
    const pieces = new Pieces(40, 40)
    await pieces.share(new Crew(threads(idle)), ['a', 'b'], ['b', 'c'])
    assert.deepEqual([pieces.recruitings, pieces.most], [1, 3])
    const givers = new Set(pieces.done.map((each) => each[0]))
    assert.deepEqual([...givers].sort(), ['a', 'b', 'c'])
    const others = new Pieces(20, 40)
    await others.share(new Crew(threads(busy)), ['a'], ['b'])
    assert.deepEqual([others.recruitings, others.most], [0, 1])
  })

  it('has another one finish what one leaves', async () => {
    const pieces = new Pieces(8, 1, (giver, piece) => giver !== 'a' || piece < 3)
    await pieces.share(new Crew(threads(busy)), ['a', 'b'])
    assert.equal(pieces.done.length, 8)
    assert.deepEqual(
      pieces.done.filter((each) => each.startsWith('a ')),
      ['a 0', 'a 1', 'a 2'],
    )
  })

  it('has what one leaves finished while another one is stuck', async () => {
    const { promise: finished, resolve: finish } = Promise.withResolvers<'finished'>()
    let left = 2
    let meanwhile = ''
    const work = async (giver: string): Promise<boolean> => {
      left--
      if (giver === 'stuck')
        meanwhile = await Promise.race([finished, delay(5000, 'nothing', { ref: false })])
      if (giver === 'failing') left++
      if (giver === 'sound') finish('finished')
      return giver !== 'failing'
    }
    await new Crew(threads(idle)).share(
      ['stuck', 'failing', 'sound'],
      () => left > 0,
      work,
      () => {},
    )
    assert.equal(meanwhile, 'finished')
  })

  it('ends with work left when nobody can do it', async () => {
    const pieces = new Pieces(4, 1, () => false)
    await pieces.share(new Crew(threads(idle)), ['a', 'b'])
    assert.deepEqual([pieces.done.length, pieces.left], [0, 4])
  })
})
