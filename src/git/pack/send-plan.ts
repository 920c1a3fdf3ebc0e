import { Turns } from '../../util/turns.ts'
import type { ObjectDatabase } from '../object-database.ts'
import { ObjectNotFoundError, PackGoneError } from '../object-errors.ts'
import { oidFromBytes } from '../oid.ts'
import type { ObjectSelection } from '../walk/select.ts'
import type { Pack } from './pack.ts'

/** How often places are looked up anew because a pack went away meanwhile. */
const MAX_TRIES = 3
/** In place of a pack's number: the object is in no pack. */
const LOOSE = 0xffffffff

/** Where an entry begins. */
export interface Place {
  readonly pack: Pack
  readonly offset: number
}

/**
 * Where the objects of a selection lie: 12 bytes each. The packs are kept open until `release`, so that they can be read to the
 * end even when they are merged or removed meanwhile.
 */
export class SendPlan {
  /** Number of objects. */
  readonly count: number
  readonly #packs: Pack[] = []
  readonly #numbers: Uint32Array
  readonly #offsets: Float64Array

  private constructor(count: number) {
    this.count = count
    this.#numbers = new Uint32Array(count)
    this.#offsets = new Float64Array(count)
  }

  /** @throws ObjectNotFoundError, AbortedError */
  static async make(
    database: ObjectDatabase,
    objects: ObjectSelection,
    signal: AbortSignal | undefined,
  ): Promise<SendPlan> {
    for (let tries = 1; ; tries++) {
      const plan = new SendPlan(objects.count)
      try {
        await plan.#locate(database, objects, new Turns(signal))
        return plan
      } catch (error) {
        plan.release()
        const outdated = error instanceof PackGoneError || error instanceof ObjectNotFoundError
        // What another process did to the packs is seen only then.
        if (!outdated || tries === MAX_TRIES || !(await database.refresh())) throw error
      }
    }
  }

  /** Where the entry of an object begins; `undefined` when no pack has it. */
  placeOf(number: number): Place | undefined {
    const pack = this.#packs[this.#numbers[number]!]
    return pack === undefined ? undefined : { pack, offset: this.#offsets[number]! }
  }

  /** Lets the packs go. */
  release(): void {
    for (const pack of this.#packs.splice(0)) pack.release()
  }

  async #locate(database: ObjectDatabase, objects: ObjectSelection, turns: Turns): Promise<void> {
    const numbers = new Map<Pack, number>()
    let previous: Pack | undefined
    for (let object = 0; object < objects.count; object++) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      const id = objects.at(object)
      // Objects that are sent one after the other mostly lie in one pack.
      const position = previous?.index.findBytes(id) ?? -1
      if (previous !== undefined && position >= 0) {
        this.#numbers[object] = numbers.get(previous)!
        this.#offsets[object] = previous.index.offsetAt(position)
        continue
      }
      const place = database.locate(oidFromBytes(id))
      if (place === undefined) throw new ObjectNotFoundError(oidFromBytes(id))
      if (place.kind === 'loose') {
        this.#numbers[object] = LOOSE
        continue
      }
      previous = place.pack
      let number = numbers.get(previous)
      if (number === undefined) {
        previous.retain()
        number = this.#packs.push(previous) - 1
        numbers.set(previous, number)
      }
      this.#numbers[object] = number
      this.#offsets[object] = place.offset
    }
  }
}
