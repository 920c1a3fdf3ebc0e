/**
 * Making a pack for somebody else: entries of our packs go out as they are, nothing is inflated or compressed anew. What is
 * a delta or a loose object here is sent whole.
 */
import { pipeline } from 'node:stream'
import { createDeflate, deflateSync } from 'node:zlib'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { throwIfAborted } from '../inflate.ts'
import type { ObjectDatabase } from '../object-database.ts'
import { CorruptPackError } from '../object-errors.ts'
import { type Oid, oidFromBytes } from '../oid.ts'
import type { ObjectSelection } from '../walk/select.ts'
import { Turns } from '../walk/turns.ts'
import { encodeEntryHeader, encodePackHeader, isDelta } from './format.ts'
import { PackChunks } from './pack-chunks.ts'
import { type Place, SendPlan } from './send-plan.ts'
import { WindowReader } from './window-reader.ts'

/** Entries up to this length are read together through a window, longer ones straight into the chunk. */
const SMALL_ENTRY = 64 * 1024
/** Objects up to this size are compressed in one piece; longer ones are streamed. */
const SMALL_OBJECT = 64 * 1024
/** zlib level for objects that have to be compressed anew: speed before size. */
const RESEND_LEVEL = 1

/**
 * The given objects as one packfile of version 2 without deltas, in chunks of at most 256 KiB. The chunks are the receiver's own.
 *
 * Memory is 12 bytes an object and some windows. The packs that are read stay open until the loop is left.
 *
 * @throws ObjectNotFoundError before the first chunk, when an object is missing
 * @throws CorruptPackError, CorruptObjectError at damage
 * @throws AbortedError
 */
export async function* sendPack(
  database: ObjectDatabase,
  objects: ObjectSelection,
  options: AbortOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const { signal } = options
  const plan = await SendPlan.make(database, objects, signal)
  try {
    const out = new PackChunks()
    const windows = new WindowReader()
    const turns = new Turns(signal)
    out.write(encodePackHeader(objects.count))
    for (let number = 0; number < objects.count; number++) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      const place = plan.placeOf(number)
      if (place === undefined || !(await copySmall(place, windows, out))) {
        const oid = oidFromBytes(objects.at(number))
        yield* place === undefined || isDelta(place.pack.entryHeader(place.offset).type)
          ? compressAnew(database, oid, out, signal)
          : copyLarge(place, out, signal)
      }
      yield* out.ready()
    }
    out.finish()
    yield* out.ready()
  } finally {
    plan.release()
  }
}

/** Copies the entry when it is short and no delta; tells whether it did. */
async function copySmall({ pack, offset }: Place, windows: WindowReader, out: PackChunks): Promise<boolean> {
  const length = pack.index.lengthFrom(offset)
  if (length > SMALL_ENTRY) return false
  const raw = await windows.read(pack, offset, length)
  if (isDelta(pack.parseEntry(raw, offset).type)) return false
  out.write(raw)
  return true
}

async function* copyLarge(
  { pack, offset }: Place,
  out: PackChunks,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const end = offset + pack.index.lengthFrom(offset)
  for (let position = offset; position < end; ) {
    throwIfAborted(signal)
    const space = out.space()
    const length = await pack.readAt(space.subarray(0, end - position), position)
    if (length === 0) throw new CorruptPackError(`${pack.path} is cut off`)
    out.filled(length)
    position += length
    yield* out.ready()
  }
}

/** Makes an entry of an object that no pack has as it is. */
async function* compressAnew(
  database: ObjectDatabase,
  oid: Oid,
  out: PackChunks,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const { type, size, chunks } = await database.stream(oid, { ...(signal && { signal }) })
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
