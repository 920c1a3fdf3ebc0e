import { createHash } from 'node:crypto'
import { inflateExact } from '../git/inflate.ts'
import type { DeflatedLocation, ObjectDatabase } from '../git/object-database.ts'
import { CorruptObjectError, PackGoneError } from '../git/object-errors.ts'
import type { Oid } from '../git/oid.ts'
import { MAX_ENTRY_HEADER_BYTES } from '../git/pack/format.ts'
import type { Pack } from '../git/pack/pack.ts'
import { gzipEnd, gzipHeader } from '../git/splice/gzip.ts'
import { applyPatches, splicePlan } from '../git/splice/splice.ts'
import { MAX_STORED, storedHeader, storedLength, storedPieces } from '../git/splice/stored.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import type { ByteRange, NarBody, NarEncoding } from './api.ts'
import { BodyWriter } from './body-writer.ts'
import type { NarPlan, PlanFile } from './plan.ts'
import { WindowReader } from './window-reader.ts'

/** Contents up to this size are inflated at once; larger ones stream, off the main thread. */
const SMALL_CONTENT = 64 * 1024
/** Deflated stretches up to this size come from a read window, larger ones straight from the pack. */
const SMALL_STRETCH = 64 * 1024
/** How often a blob is looked for again whose pack was removed by another process. */
const MAX_LOOKED_AGAIN = 2

/** State of one reading of a body. */
interface Reading {
  readonly out: BodyWriter
  readonly windows: WindowReader
  readonly signal: AbortSignal | undefined
}

/** Makes NAR bodies from plans. */
export class NarBodies {
  readonly #database: ObjectDatabase
  readonly #onStale: (tree: Oid) => void

  /** @param onStale told of a tree whose plan no longer describes the packs */
  constructor(database: ObjectDatabase, onStale: (tree: Oid) => void) {
    this.#database = database
    this.#onStale = onStale
  }

  /** The NAR as it is. */
  plain(plan: NarPlan): NarBody {
    // A tree has one NAR, but naming it after the tree would not change if we ever wrote NARs in another way.
    const id = createHash('sha256').update(`nar ${plan.tree}`).digest('hex').slice(0, 32)
    return this.#body('none', id, plan.narSize, (reading) => this.#plain(plan, reading))
  }

  /** The NAR as one gzip member, put together from the packs' deflate streams. `crc32` is that of the NAR. */
  gzip(plan: NarPlan, crc32: number): NarBody {
    return this.#body('gzip', plan.gzipId, plan.gzipSize, (reading) => this.#gzip(plan, crc32, reading))
  }

  #body(
    encoding: NarEncoding,
    id: string,
    size: number,
    produce: (reading: Reading) => AsyncGenerator<Buffer, void>,
  ): NarBody {
    return {
      encoding,
      id,
      size,
      read(range: ByteRange = { start: 0, end: size }, options: AbortOptions = {}) {
        if (range.start < 0 || range.start > range.end || range.end > size) {
          throw new RangeError(`no range ${range.start}-${range.end} in ${size} bytes`)
        }
        const out = new BodyWriter(range.start, range.end)
        return produce({ out, windows: new WindowReader(), signal: options.signal })
      },
    }
  }

  async *#plain(plan: NarPlan, { out, windows, signal }: Reading): AsyncGenerator<Buffer, void> {
    for (const file of plan.files) {
      if (out.done) break
      out.write(file.framing)
      if (!out.skip(file.size)) {
        if (file.size <= SMALL_CONTENT) out.write(await this.#content(file, windows))
        else yield* this.#stream(file, out, signal, (chunk) => out.write(chunk))
      }
      for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
    }
    if (!out.done) out.write(plan.tail)
    yield* remaining(out)
  }

  async *#gzip(plan: NarPlan, crc32: number, reading: Reading): AsyncGenerator<Buffer, void> {
    const { out } = reading
    out.write(gzipHeader())
    for (const file of plan.files) {
      if (out.done) break
      writeStored(out, file.framing)
      if (file.record.kind === 'none') yield* this.#stored(file, reading)
      else yield* this.#spliced(plan.tree, file, reading)
      for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
    }
    if (!out.done) {
      writeStored(out, plan.tail)
      out.write(gzipEnd(crc32, plan.narSize))
    }
    yield* remaining(out)
  }

  /** A blob's deflate blocks as its pack has them. */
  async *#spliced(
    tree: Oid,
    file: PlanFile,
    { out, windows, signal }: Reading,
  ): AsyncGenerator<Buffer, void> {
    if (file.record.kind === 'none') return
    const splice = splicePlan(file.record, file.deflatedLength)
    if (out.skip(splice.length)) return
    const place = await this.#retain(file)
    if (place === undefined) {
      this.#onStale(tree)
      throw changed(file.oid, 'the repository')
    }
    const { pack, position, dataOffset } = place
    try {
      if (!isEntryOf(file, pack, position)) {
        this.#onStale(tree)
        throw changed(file.oid, pack.path)
      }
      const first = out.before(splice.bodyLength)
      out.pass(first)
      if (splice.bodyLength - first <= SMALL_STRETCH) {
        const body = await windows.read(pack, dataOffset + splice.from + first, splice.bodyLength - first)
        // The window may serve the same bytes again, so they are not to be changed in place.
        const own = splice.patches.length > 0 ? Buffer.from(body) : body
        applyPatches(splice, own, first)
        out.write(own)
      } else {
        for (let at = first; at < splice.bodyLength && !out.done; ) {
          signal?.throwIfAborted()
          const space = out.space().subarray(0, Math.min(splice.bodyLength - at, out.left))
          const read = await pack.readAt(space, dataOffset + splice.from + at)
          if (read < space.length) throw changed(file.oid, pack.path)
          applyPatches(splice, space, at)
          out.filled(read)
          at += read
          for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
        }
      }
    } finally {
      pack.release()
    }
    out.write(splice.tail)
  }

  /** A blob's content in stored blocks, for what cannot be spliced. */
  async *#stored(file: PlanFile, { out, windows, signal }: Reading): AsyncGenerator<Buffer, void> {
    if (out.skip(storedLength(file.size))) return
    if (file.size <= SMALL_CONTENT) {
      writeStored(out, await this.#content(file, windows))
      return
    }
    let position = 0
    yield* this.#stream(file, out, signal, (chunk) => {
      for (let at = 0; at < chunk.length; ) {
        if (position % MAX_STORED === 0) out.write(storedHeader(Math.min(MAX_STORED, file.size - position)))
        const length = Math.min(chunk.length - at, MAX_STORED - (position % MAX_STORED))
        out.write(chunk.subarray(at, at + length))
        position += length
        at += length
      }
    })
  }

  /** The content of a small file. */
  async #content(file: PlanFile, windows: WindowReader): Promise<Uint8Array> {
    const place = await this.#retain(file)
    if (place === undefined) return (await this.#database.read(file.oid, { maxSize: file.size })).data
    try {
      // A stream far longer than what it holds is no work of ours or git's, and must not be held in memory.
      if (place.dataLength > 2 * SMALL_CONTENT) {
        const { chunks } = await this.#database.stream(file.oid)
        return Buffer.concat(await Array.fromAsync(chunks))
      }
      return await inflateExact(await windows.read(place.pack, place.dataOffset, place.dataLength), file.size)
    } finally {
      place.pack.release()
    }
  }

  /** Inflates a large file piece by piece; yields the chunks that become complete. */
  async *#stream(
    file: PlanFile,
    out: BodyWriter,
    signal: AbortSignal | undefined,
    write: (chunk: Uint8Array) => void,
  ): AsyncGenerator<Buffer, void> {
    const { chunks } = await this.#database.stream(file.oid, signal === undefined ? {} : { signal })
    for await (const piece of chunks) {
      write(piece)
      for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
      if (out.done) break
    }
  }

  /**
   * Where a blob's zlib stream lies now. The pack is kept open until it is released, as it may be merged into another one
   * at any time; a pack that another process has removed is looked for again.
   */
  async #retain(file: PlanFile): Promise<Place | undefined> {
    for (let attempt = 0; ; attempt++) {
      try {
        const place = this.#place(file)
        place?.pack.retain()
        return place
      } catch (error) {
        if (!(error instanceof PackGoneError) || attempt === MAX_LOOKED_AGAIN) throw error
      }
      await this.#database.refresh()
    }
  }

  #place(file: PlanFile): Place | undefined {
    const location = this.#database.locate(file.oid)
    if (location?.kind === 'pack' && isEntryOf(file, location.pack, location.position)) {
      // The entry is the one that the plan was made from, so its header need not be read again.
      const { pack, position, offset } = location
      const headerLength = pack.index.lengthAt(position) - file.deflatedLength
      return { pack, position, dataOffset: offset + headerLength, dataLength: file.deflatedLength }
    }
    return this.#database.deflated(file.oid)
  }
}

/** Where a zlib stream lies. */
type Place = Pick<DeflatedLocation, 'pack' | 'position' | 'dataOffset' | 'dataLength'>

/** Whether a pack's entry is, to the byte, the one that the plan has for a file; never for one that is not spliced. */
function isEntryOf(file: PlanFile, pack: Pack, position: number): boolean {
  const header = pack.index.lengthAt(position) - file.deflatedLength
  return (
    file.record.kind !== 'none' &&
    pack.index.crc32At(position) === file.entryCrc &&
    header > 0 &&
    header <= MAX_ENTRY_HEADER_BYTES
  )
}

/** A plan no longer describes the packs: they were rewritten between its making and this read. */
function changed(oid: Oid, where: string): CorruptObjectError {
  return new CorruptObjectError(oid, where, 'its entry changed while it was being served')
}

function writeStored(out: BodyWriter, content: Uint8Array): void {
  if (out.skip(storedLength(content.length))) return
  for (const piece of storedPieces(content.length)) {
    out.write(piece.kind === 'header' ? piece.bytes : content.subarray(piece.from, piece.to))
  }
}

function* remaining(out: BodyWriter): Generator<Buffer, void> {
  for (let chunk = out.shift(); chunk !== undefined; chunk = out.shift()) yield chunk
  const rest = out.rest()
  if (rest !== undefined) yield rest
}
