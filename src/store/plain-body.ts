import { crc32 } from 'node:zlib'
import { CorruptObjectError } from '../git/object-errors.ts'
import { crc32Combine } from '../git/splice/crc32-combine.ts'
import type { ChunkPool } from '../util/chunk-pool.ts'
import { releaseEnd } from '../util/release.ts'
import type { ByteRange } from './api.ts'
import { BODY_CHUNK, BodyWriter } from './body-writer.ts'
import { inflatedStream, isDeflateError } from './inflated-stream.ts'
import { joined, type NarPart, narParts, wholePart } from './nar-parts.ts'
import type { InflatedPart, PartInflater } from './part-inflater.ts'
import type { NarPlan } from './plan.ts'
import { completeChunks, type Reading, remainingChunks } from './reading.ts'

/** Bytes of NAR that are inflated before they are needed, where threads have little to do. */
const INFLATED_AHEAD = 2 * 1024 * 1024

/** A stream of several parts of this size ends, to see whether threads have time for the next one. */
const LONG_STREAM = 8 * 1024 * 1024

/** What a plain body is made from. */
export interface PlainSource {
  readonly plan: NarPlan
  readonly signal: AbortSignal | undefined
  /** The state of a reading that writes to a writer. Each part is read for itself. */
  readonly reading: (out: BodyWriter) => Reading
  /** Inflates parts on worker threads; without it all is inflated as one stream. */
  readonly inflater: PartInflater | undefined
  /** Memory for deflated streams. */
  readonly chunks: ChunkPool
}

/**
 * A NAR as it is, or a range of it, from the stream that gzip NARs consist of. That is inflated in parts, several at a time by as
 * many threads; a part with a large file is inflated piece by piece.
 *
 * @param nar takes the NAR
 * @throws CorruptObjectError when what comes out is not the NAR that the plan describes; InflateWorkerError
 */
export async function* plainBody(
  source: PlainSource,
  range: ByteRange,
  nar: BodyWriter,
): AsyncGenerator<Buffer, void> {
  const { plan, signal } = source
  const parts = new PartsAhead(source, range)
  const { offset } = plan.startBefore(range.start)
  const check = new NarCheck(plan, offset)
  nar.pass(offset)
  try {
    while (!nar.done) {
      const part = parts.next()
      if (part === undefined) break
      for await (const piece of part) {
        signal?.throwIfAborted()
        check.take(piece)
        yield* written(nar, piece.content)
        if (nar.done) break
      }
    }
    if (!nar.done) throw check.short()
    yield* remainingChunks(nar)
  } catch (error) {
    throw isDeflateError(error) ? damaged(plan, error.message, error) : error
  } finally {
    await parts.end()
  }
}

/** Writes a piece; yields the chunks that become complete. */
function* written(nar: BodyWriter, content: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < content.length; at += BODY_CHUNK) {
    nar.write(content, at, Math.min(at + BODY_CHUNK, content.length))
    if (nar.ready) yield* completeChunks(nar)
  }
}

/** The next bytes of the NAR. Their memory is good until the next are asked for. */
interface Piece {
  readonly content: Buffer
  /** Of the content, where it has been worked out. */
  readonly crc32?: number
}

/** A part whose turn has not come. */
interface Ahead {
  readonly size: number
  readonly pieces: AsyncIterable<Piece>
  /** To be called when its turn never comes. */
  readonly drop?: () => void
}

/** The parts of a NAR in order, some of them inflated before they are asked for. */
class PartsAhead {
  readonly #source: PlainSource
  readonly #parts: Iterator<NarPart, void>
  /** The part after those that have been started. */
  #following: NarPart | undefined
  readonly #ahead: Ahead[] = []
  readonly #running = new Set<Promise<unknown>>()
  #bytes = 0

  constructor(source: PlainSource, { start, end }: ByteRange) {
    const { plan, inflater } = source
    this.#source = source
    this.#parts = inflater === undefined ? [wholePart(plan, start)].values() : narParts(plan, start, end)
    this.#following = this.#parts.next().value ?? undefined
  }

  /** The next part; `undefined` when there is none. */
  next(): AsyncIterable<Piece> | undefined {
    this.#fill()
    const next = this.#ahead.shift()
    if (next === undefined) return undefined
    this.#bytes -= next.size
    // Another is inflated while this one is sent.
    this.#fill()
    return next.pieces
  }

  /** Resolves when nothing reads or inflates any more. */
  async end(): Promise<void> {
    for (const { drop } of this.#ahead) drop?.()
    await Promise.allSettled(this.#running)
  }

  #fill(): void {
    while (this.#ahead.length === 0 || (this.#mayGoAhead() && this.#bytes < INFLATED_AHEAD)) {
      const part = this.#take()
      if (part === undefined) return
      this.#bytes += part.size
      this.#ahead.push(this.#start(part))
    }
  }

  #take(): NarPart | undefined {
    const part = this.#following
    this.#following = this.#parts.next().value ?? undefined
    return part
  }

  #mayGoAhead(): boolean {
    const { inflater } = this.#source
    return inflater?.idle === true && inflater.ready
  }

  /** On a worker thread when there is memory for it, and it is not to be inflated piece by piece. */
  #start(part: NarPart): Ahead {
    const { inflater } = this.#source
    if (part.atOnce && inflater?.ready === true) return this.#atOnce(inflater, part)
    // A stream goes on with what would become another, which takes memory for each.
    let long = part
    while (long.size < LONG_STREAM && this.#following !== undefined) {
      // Memory that is taken by this NAR's own parts is free again soon.
      if (this.#following.atOnce && (this.#ahead.length > 0 || this.#mayGoAhead())) break
      long = joined(long, this.#take()!)
    }
    this.#bytes += long.size - part.size
    return { size: long.size, pieces: this.#stream(long) }
  }

  #atOnce(inflater: PartInflater, part: NarPart): Ahead {
    const { plan, reading } = this.#source
    const inflating = inflater.inflate(reading, part)
    this.#running.add(inflating)
    // A failure is told to who reads the part, if anybody does.
    inflating.catch(() => {}).finally(() => this.#running.delete(inflating))
    return { size: part.size, pieces: inflated(plan, inflating), drop: () => void release(inflating) }
  }

  async *#stream(part: NarPart): AsyncGenerator<Piece, void> {
    const { reading, chunks } = this.#source
    const out = new BodyWriter(chunks, 0, Infinity)
    for await (const content of inflatedStream(reading(out), part, (chunk) => chunks.give(chunk))) {
      yield { content }
      releaseEnd(content)
    }
  }
}

async function* inflated(
  plan: NarPlan,
  inflating: Promise<InflatedPart | string>,
): AsyncGenerator<Piece, void> {
  try {
    const result = await inflating
    if (typeof result === 'string') throw damaged(plan, result)
    yield result
  } finally {
    await release(inflating)
  }
}

/** Gives the memory of a part back once it has been inflated. */
async function release(inflating: Promise<InflatedPart | string>): Promise<void> {
  const result = await inflating.catch(() => undefined)
  if (typeof result === 'object') result.release()
}

/** Compares what comes out with what the plan says. The last bytes are not given away before all of them are known to be right. */
class NarCheck {
  readonly #plan: NarPlan
  #size: number
  /** Unknown for what does not begin at the beginning. */
  #crc: number | undefined

  /** @param offset where in the NAR it begins */
  constructor(plan: NarPlan, offset: number) {
    this.#plan = plan
    this.#size = offset
    this.#crc = offset === 0 ? 0 : undefined
  }

  /** @throws CorruptObjectError */
  take({ content, crc32: own }: Piece): void {
    const plan = this.#plan
    this.#size += content.length
    if (this.#size > plan.narSize) throw damaged(plan, `they inflate to more than ${plan.narSize} bytes`)
    if (this.#crc === undefined) return
    this.#crc = own === undefined ? crc32(content, this.#crc) : crc32Combine(this.#crc, own, content.length)
    if (this.#size === plan.narSize && this.#crc !== (plan.crc32 ?? this.#crc))
      throw damaged(plan, 'their checksum is another')
  }

  /** The error for a NAR that ends here. */
  short(): CorruptObjectError {
    return damaged(this.#plan, `they inflate to ${this.#size} bytes instead of ${this.#plan.narSize}`)
  }
}

function damaged(plan: NarPlan, problem: string, cause?: unknown): CorruptObjectError {
  const options = cause === undefined ? undefined : { cause }
  return new CorruptObjectError(plan.tree, 'the repository', `its blobs are damaged: ${problem}`, options)
}
