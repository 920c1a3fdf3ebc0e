import { Turns } from '../../util/turns.ts'
import { UnmergeablePackError } from '../object-errors.ts'
import { OID_BYTES, type Oid } from '../oid.ts'
import type { SpliceRecord } from '../splice/record.ts'
import type { PackIndexColumns } from './index-writer.ts'
import type { Pack } from './pack.ts'

/** Whether an entry may stay behind because a pack that is not merged has the object too. */
export type LeaveOut = (oid: Oid, pack: Pack) => boolean

/** In place of a row: the entry is not copied. */
const NOT_COPIED = 0xffffffff

interface Candidate {
  readonly oid: Oid
  /** Which of the packs. */
  readonly number: number
  readonly position: number
}

/**
 * What a merged pack will hold: a row for each object, in the order of ids. Some 50 bytes an object, and no objects of
 * JavaScript, as there may be a million.
 */
export class MergePlan {
  readonly packs: readonly Pack[]
  readonly #oids: Buffer
  readonly #crc32s: Uint32Array
  readonly #offsets: Float64Array
  /** Of each row: the pack that the entry comes from, and its position there. */
  readonly #numbers: Uint32Array
  readonly #positions: Uint32Array
  /** Of each pack: the row of each position. */
  readonly #rows: readonly Uint32Array[]
  #count = 0

  private constructor(packs: readonly Pack[]) {
    const most = packs.reduce((sum, { index }) => sum + index.count, 0)
    this.packs = packs
    this.#oids = Buffer.allocUnsafeSlow(most * OID_BYTES)
    this.#crc32s = new Uint32Array(most)
    this.#offsets = new Float64Array(most)
    this.#numbers = new Uint32Array(most)
    this.#positions = new Uint32Array(most)
    this.#rows = packs.map(({ index }) => new Uint32Array(index.count).fill(NOT_COPIED))
  }

  /**
   * Goes through the indexes of all packs side by side. Of an object that several packs have, the entry of the last
   * pack is chosen.
   *
   * @throws UnmergeablePackError when an index is not in order
   * @throws AbortedError
   */
  static async make(
    packs: readonly Pack[],
    leaveOut: LeaveOut,
    signal: AbortSignal | undefined,
  ): Promise<MergePlan> {
    const plan = new MergePlan(packs)
    const cursors = packs.map(() => 0)
    const turns = new Turns(signal)
    // All ids with one first byte at a time: few enough to sort without holding up other work.
    for (let byte = 0; byte < 256; byte++) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      plan.#choose(takeCandidates(packs, cursors, byte), leaveOut)
    }
    for (const [number, pack] of packs.entries()) {
      if (cursors[number] !== pack.index.count)
        throw new UnmergeablePackError(pack, 'its index is not in the order of ids')
    }
    return plan
  }

  /** Number of objects. */
  get count(): number {
    return this.#count
  }

  /** The pack that all rows come from, when it has no other objects either. */
  wholePack(): Pack | undefined {
    const pack = this.packs[this.#numbers[0] ?? 0]
    if (pack === undefined || pack.index.count !== this.#count) return undefined
    return this.#numbers.subarray(0, this.#count).every((number) => this.packs[number] === pack)
      ? pack
      : undefined
  }

  /** The row of the entry at this position of a pack; `undefined` when it is not copied. */
  rowOf(number: number, position: number): number | undefined {
    const row = this.#rows[number]![position]!
    return row === NOT_COPIED ? undefined : row
  }

  /** Notes where the entry of a row begins in the merged pack. */
  place(row: number, offset: number): void {
    this.#offsets[row] = offset
  }

  /** What the index of the merged pack says, once every row has its place. */
  columns(): PackIndexColumns {
    return { count: this.#count, oids: this.#oids, crc32s: this.#crc32s, offsets: this.#offsets }
  }

  /** The splice records of all rows. */
  *records(recordOf: (pack: Pack, position: number) => SpliceRecord): Generator<SpliceRecord> {
    for (let row = 0; row < this.#count; row++) {
      yield recordOf(this.packs[this.#numbers[row]!]!, this.#positions[row]!)
    }
  }

  #choose(candidates: Candidate[], leaveOut: LeaveOut): void {
    candidates.sort((a, b) => (a.oid < b.oid ? -1 : a.oid > b.oid ? 1 : b.number - a.number))
    let previous: Oid | undefined
    for (const { oid, number, position } of candidates) {
      if (oid === previous) continue
      previous = oid
      const pack = this.packs[number]!
      if (leaveOut(oid, pack)) continue
      const row = this.#count++
      this.#oids.write(oid, row * OID_BYTES, 'hex')
      this.#crc32s[row] = pack.index.crc32At(position)
      this.#numbers[row] = number
      this.#positions[row] = position
      this.#rows[number]![position] = row
    }
  }
}

/** The objects of all packs whose ids begin with this byte; `cursors` are the positions from which on to look. */
function takeCandidates(packs: readonly Pack[], cursors: number[], byte: number): Candidate[] {
  const prefix = byte.toString(16).padStart(2, '0')
  const candidates: Candidate[] = []
  for (const [number, { index }] of packs.entries()) {
    let position = cursors[number]!
    for (; position < index.count; position++) {
      const oid = index.oidAt(position)
      if (!oid.startsWith(prefix)) break
      candidates.push({ oid, number, position })
    }
    cursors[number] = position
  }
  return candidates
}
