import { setTimeout as sleep } from 'node:timers/promises'
import { AbortedError } from '../../../util/errors.ts'
import type { AbortOptions } from '../../../util/lifecycle.ts'
import { createReclaimer } from '../../../util/reclaim.ts'
import { ObjectNotFoundError } from '../../object-errors.ts'
import { sendPack } from '../../pack/send.ts'
import { type SelectRequest, selectObjects, TooManyObjectsError } from '../../walk/select.ts'
import { FLUSH_PKT } from '../pkt-line.ts'
import type { ServedRepository } from './served-repository.ts'

/** Time without a byte after which the client is told that the node still works, in milliseconds. */
const KEEPALIVE_MS = 5000

/** How a pack is framed: bytes of a packet at most, or no packets at all. */
export type SideBand = 65520 | 1000 | 'none'

const DATA = 1
const PROGRESS = 2
const FAILURE = 3
/** Four digits of length, and the band. */
const HEADER = 5

export interface PackfileOptions extends AbortOptions {
  readonly sideBand: SideBand
  /** Tell the client how many objects come. */
  readonly progress: boolean
  /** Told what went wrong after the answer had begun; the client is told no more than that something did. */
  readonly onError: (error: unknown) => void
}

/** A pack of what is wanted, in side-band packets with a flush packet at the end. A failure on the way becomes a packet that says so. */
export async function* packfile(
  repository: ServedRepository,
  request: SelectRequest,
  options: PackfileOptions,
): AsyncGenerator<Buffer> {
  const { sideBand, onError } = options
  if (sideBand === 'none') {
    yield* unframed(packOf(repository, request, options))
    return
  }
  const reclaim = createReclaimer()
  try {
    for await (const piece of withKeepalive(packOf(repository, request, options))) {
      if (typeof piece === 'string') yield* packets(Buffer.from(piece), PROGRESS, sideBand)
      else yield* packets(piece, DATA, sideBand)
      // What was sent, and the copy with the headers.
      reclaim(2 * piece.length)
    }
    yield FLUSH_PKT
  } catch (error) {
    if (error instanceof AbortedError || options.signal?.aborted) throw error
    onError(error)
    yield* packets(Buffer.from(`${publicMessage(error)}\n`), FAILURE, sideBand)
  }
}

/** Progress as text, and the chunks of the pack. */
async function* packOf(
  { database }: ServedRepository,
  request: SelectRequest,
  options: PackfileOptions,
): AsyncGenerator<Buffer | string> {
  const objects = await selectObjects(database, request, options)
  if (options.progress) yield `Sending ${objects.count} objects\n`
  yield* sendPack(database, objects, options)
}

async function* unframed(pieces: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) if (typeof piece !== 'string') yield piece
}

/** Passes pieces on, with an empty one where none comes for a while. */
async function* withKeepalive(pieces: AsyncGenerator<Buffer | string>): AsyncGenerator<Buffer | string> {
  try {
    for (;;) {
      const next = pieces.next()
      for (;;) {
        const timer = new AbortController()
        const idle = sleep(KEEPALIVE_MS, NOTHING, { signal: timer.signal }).catch(() => NOTHING)
        const step = await Promise.race([next, idle]).finally(() => timer.abort())
        if (step === NOTHING) {
          yield NOTHING
          continue
        }
        const { done, value } = step as IteratorResult<Buffer | string>
        if (done) return
        yield value
        break
      }
    }
  } finally {
    await pieces.return(undefined)
  }
}

const NOTHING = Buffer.alloc(0)

/** Bytes in packets of a band, put together in one buffer. */
function* packets(bytes: Buffer, band: number, longest: number): Generator<Buffer> {
  const payload = longest - HEADER
  const count = Math.max(1, Math.ceil(bytes.length / payload))
  const framed = Buffer.allocUnsafeSlow(bytes.length + count * HEADER)
  let to = 0
  for (let packet = 0; packet < count; packet++) {
    const part = bytes.subarray(packet * payload, (packet + 1) * payload)
    to += framed.write((part.length + HEADER).toString(16).padStart(4, '0'), to, 'latin1')
    framed[to++] = band
    to += part.copy(framed, to)
  }
  yield framed
}

/** What may be said to anybody: nothing of paths and packs. */
function publicMessage(error: unknown): string {
  if (error instanceof ObjectNotFoundError || error instanceof TooManyObjectsError) return error.message
  return 'this node cannot read what was asked for, see its log'
}
