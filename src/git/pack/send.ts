/**
 * Making a pack for somebody else: entries of our packs go out as they are, nothing is inflated or compressed anew. What is
 * a delta or a loose object here is sent whole.
 */
import { pipeline } from 'node:stream'
import { createDeflate, deflateSync } from 'node:zlib'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { ObjectDatabase } from '../object-database.ts'
import { CorruptPackError } from '../object-errors.ts'
import { type Oid, oidFromBytes } from '../oid.ts'
import type { ObjectSelection } from '../walk/select.ts'
import { encodeEntryHeader, encodePackHeader } from './format.ts'
import type { Pack } from './pack.ts'
import { PackChunks } from './pack-chunks.ts'
import { readPieces } from './send-pieces.ts'
import { SendPlan } from './send-plan.ts'

/** Objects up to this size are compressed in one piece; longer ones are streamed. */
const SMALL_OBJECT = 64 * 1024
/** zlib level for objects that have to be compressed anew: speed before size. */
const RESEND_LEVEL = 1

export interface SendOptions extends AbortOptions {
  /** Use the memory of a chunk again for another one. */
  readonly reuse?: boolean
}

/**
 * The given objects as one packfile of version 2 without deltas, in chunks of at most 256 KiB. The chunks are the receiver's own, or with `reuse`
 * valid until the next is asked for.
 *
 * Memory is 12 bytes an object and some pieces of 256 KiB. The packs that are read stay open until the loop is left.
 *
 * @throws ObjectNotFoundError before the first chunk, when an object is missing
 * @throws CorruptPackError, CorruptObjectError at damage
 * @throws AbortedError
 */
export async function* sendPack(
  database: ObjectDatabase,
  objects: ObjectSelection,
  options: SendOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const plan = await SendPlan.make(database, objects, options.signal)
  try {
    const out = new PackChunks(options.reuse === true)
    out.write(encodePackHeader(objects.count))
    // An entry can go on in the next piece.
    let whole = true
    for await (const { pack, segments, bytes } of readPieces(plan, options)) {
      for (const { object, begins, start, end } of segments) {
        if (begins) whole = pack !== undefined && isWhole(bytes[start]!, pack)
        if (whole) out.write(bytes.subarray(start, end))
        else if (begins) yield* compressAnew(database, oidFromBytes(objects.at(object)), out, options)
      }
      yield* out.ready()
    }
    out.finish()
    yield* out.ready()
  } finally {
    plan.release()
  }
}

/** Whether an entry with this first byte has an object, not a delta. @throws CorruptPackError when it can have neither */
function isWhole(firstByte: number, pack: Pack): boolean {
  const type = (firstByte >> 4) & 7
  if (type === 0 || type === 5)
    throw new CorruptPackError(`${pack.path} has an entry of the unknown type ${type}`)
  return type < 5
}

/** Makes an entry of an object that no pack has as it is. */
async function* compressAnew(
  database: ObjectDatabase,
  oid: Oid,
  out: PackChunks,
  options: AbortOptions,
): AsyncGenerator<Buffer> {
  const { type, size, chunks } = await database.stream(oid, options)
  out.write(encodeEntryHeader(type, size))
  if (size <= SMALL_OBJECT) {
    const parts: Buffer[] = []
    for await (const chunk of chunks) parts.push(chunk)
    out.write(deflateSync(Buffer.concat(parts), { level: RESEND_LEVEL }))
    return
  }
  const deflater = createDeflate({ level: RESEND_LEVEL, chunkSize: SMALL_OBJECT })
  // An error of the source destroys the deflater and so surfaces in the loop; leaving the loop ends the source.
  pipeline(chunks, deflater, () => {})
  for await (const piece of deflater as AsyncIterable<Buffer>) {
    out.write(piece)
    yield* out.ready()
  }
}
