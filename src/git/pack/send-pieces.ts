import type { AbortOptions } from '../../util/lifecycle.ts'
import { throwIfAborted } from '../inflate.ts'
import type { Pack } from './pack.ts'
import { PackReads } from './pack-reads.ts'
import type { SendPlan } from './send-plan.ts'

/** Bytes in one read. */
const PIECE_SIZE = 256 * 1024
/** Bytes that are read and dropped, rather than beginning another read. */
const LARGEST_GAP = 8 * 1024
/** Pieces that are read, or being read, while one is used. */
const READS_AHEAD = 2

/** Of all packs that are sent: they come from one disk. */
const reads = new PackReads()

/** A part of an entry within a piece. */
export interface PieceSegment {
  /** Number of the object. */
  readonly object: number
  /** Whether the entry begins here; else it goes on from the piece before. */
  readonly begins: boolean
  readonly start: number
  readonly end: number
}

/** Bytes of one pack with the entries, or parts of them, that are wanted. Without a pack: one object that none has. */
export interface Piece {
  readonly pack: Pack | undefined
  readonly segments: readonly PieceSegment[]
  /** Valid until the next piece is asked for. */
  readonly bytes: Buffer
}

interface PlannedPiece {
  readonly pack: Pack | undefined
  readonly position: number
  readonly length: number
  readonly segments: readonly PieceSegment[]
}

/**
 * The entries of a plan, in its order, by few large reads: what lies together is read together, and further pieces are read while one is
 * used. Memory is three pieces.
 *
 * @throws CorruptPackError when a pack is cut off
 */
export async function* readPieces(
  plan: SendPlan,
  { signal }: AbortOptions,
): AsyncGenerator<Piece, void, undefined> {
  const memory = Array.from({ length: READS_AHEAD + 1 }, () => Buffer.allocUnsafeSlow(PIECE_SIZE))
  const planned = planPieces(plan)
  const reading: Promise<Piece | undefined>[] = []
  const begin = (turn: number): void => {
    const { done, value } = planned.next()
    const started = done ? Promise.resolve(undefined) : read(value, memory[turn % memory.length]!)
    // Awaited in its turn; until then, or when the loop is left before, its failure is nobody's.
    started.catch(() => {})
    reading.push(started)
  }
  try {
    for (let turn = 0; turn < READS_AHEAD; turn++) begin(turn)
    for (let turn = READS_AHEAD; ; turn++) {
      throwIfAborted(signal)
      begin(turn)
      const piece = await reading.shift()
      if (piece === undefined) return
      yield piece
    }
  } finally {
    // The packs must stay open until nothing reads them.
    await Promise.allSettled(reading)
  }
}

async function read({ pack, position, length, segments }: PlannedPiece, memory: Buffer): Promise<Piece> {
  const bytes = memory.subarray(0, length)
  if (pack !== undefined) await reads.read([{ pack, position, target: bytes }])
  return { pack, segments, bytes }
}

function* planPieces(plan: SendPlan): Generator<PlannedPiece, undefined> {
  let pack: Pack | undefined
  let position = 0
  let end = 0
  let segments: PieceSegment[] = []
  for (let object = 0; object < plan.count; object++) {
    const place = plan.placeOf(object)
    const gap = place === undefined || place.pack !== pack ? -1 : place.offset - end
    if (segments.length > 0 && !(gap >= 0 && gap <= LARGEST_GAP)) {
      yield { pack, position, length: end - position, segments }
      segments = []
    }
    if (place === undefined) {
      yield {
        pack: undefined,
        position: 0,
        length: 0,
        segments: [{ object, begins: true, start: 0, end: 0 }],
      }
      continue
    }
    pack = place.pack
    const entryEnd = place.offset + pack.index.lengthFrom(place.offset)
    for (let at = place.offset; at < entryEnd; ) {
      if (segments.length > 0 && at >= position + PIECE_SIZE) {
        yield { pack, position, length: end - position, segments }
        segments = []
      }
      if (segments.length === 0) position = at
      end = Math.min(entryEnd, position + PIECE_SIZE)
      segments.push({ object, begins: at === place.offset, start: at - position, end: end - position })
      at = end
    }
  }
  if (segments.length > 0) yield { pack, position, length: end - position, segments }
  return undefined
}
