/**
 * Fetching a pack in one round trip: everything that is wanted, everything that is there, and `done`. There is no
 * negotiation, because whoever asks knows what the two sides have in common.
 */
import type { Oid } from '../../oid.ts'
import { encodePkt, FLUSH_PKT, type Packet, type PktReader, pktText } from '../pkt-line.ts'
import { AGENT } from './capabilities.ts'
import { UnexpectedAnswerError, UnsupportedServerError } from './errors.ts'
import type { Greeting } from './greeting.ts'
import { commandHeader } from './ls-refs.ts'
import { readPacket } from './packets.ts'
import { type OnProgress, readSideBand } from './side-band.ts'

export interface PackRequest {
  readonly wants: readonly Oid[]
  readonly haves: readonly Oid[]
  /** Leave out all blobs but wanted ones. */
  readonly omitBlobs?: boolean
}

/** Lines of a request that are sent together, some 50 bytes each. */
const LINES_AT_ONCE = 1000

/** Lines before the pack that are passed over: a server may acknowledge each of the commits that are there. */
export const MAX_LINES_BEFORE_PACK = 1_000_000

/** Length of `ACK`, a space, an id and a line feed. */
const MAX_ACKNOWLEDGMENT = 45

/** Whether objects that no ref names may be wanted, and blobs omitted. */
export function isSelective({ version, capabilities }: Greeting): boolean {
  if (version === 2) return (capabilities.get('fetch') ?? '').split(' ').includes('filter')
  return (
    capabilities.has('filter') &&
    (capabilities.has('allow-any-sha1-in-want') || capabilities.has('allow-reachable-sha1-in-want'))
  )
}

/**
 * The request, in pieces.
 *
 * @throws RangeError when nothing is wanted
 * @throws UnsupportedServerError when the server cannot do what is asked
 */
export function encodeFetch(greeting: Greeting, request: PackRequest): Generator<Buffer, void> {
  if (request.wants.length === 0) throw new RangeError('a fetch needs something that is wanted')
  if (request.omitBlobs && !isSelective(greeting)) {
    throw new UnsupportedServerError(
      'the server does not leave out blobs; in its repository: git config uploadpack.allowFilter true',
    )
  }
  return inPieces(greeting.version === 2 ? linesV2(greeting, request) : linesV0(greeting, request))
}

/**
 * The pack of the answer, in pieces that are valid until the next one is asked for.
 *
 * @throws GitServerError, UnexpectedAnswerError, PktLineError
 */
export async function* readFetch(
  greeting: Greeting,
  reader: PktReader,
  onProgress?: OnProgress,
): AsyncGenerator<Buffer, void> {
  if (greeting.version === 2) {
    await passSections(reader)
    yield* readSideBand(reader, onProgress)
  } else {
    yield* readSideBand(reader, onProgress, await passAcknowledgments(reader))
  }
}

function* linesV2(greeting: Greeting, { wants, haves, omitBlobs }: PackRequest): Generator<Buffer> {
  yield* commandHeader('fetch', greeting.capabilities)
  yield encodePkt('thin-pack\n')
  yield encodePkt('ofs-delta\n')
  if (omitBlobs) yield encodePkt('filter blob:none\n')
  for (const oid of wants) yield encodePkt(`want ${oid}\n`)
  for (const oid of haves) yield encodePkt(`have ${oid}\n`)
  yield encodePkt('done\n')
  yield FLUSH_PKT
}

function* linesV0({ capabilities }: Greeting, { wants, haves, omitBlobs }: PackRequest): Generator<Buffer> {
  if (!capabilities.has('side-band-64k')) {
    throw new UnsupportedServerError('the server is too old: it does not offer side-band-64k')
  }
  const options = ['side-band-64k', 'thin-pack', 'ofs-delta'].filter((name) => capabilities.has(name))
  if (capabilities.has('agent')) options.push(`agent=${AGENT}`)
  if (omitBlobs) options.push('filter')
  const [first, ...others] = wants
  yield encodePkt(`want ${first} ${options.join(' ')}\n`)
  for (const oid of others) yield encodePkt(`want ${oid}\n`)
  if (omitBlobs) yield encodePkt('filter blob:none\n')
  yield FLUSH_PKT
  for (const oid of haves) yield encodePkt(`have ${oid}\n`)
  yield encodePkt('done\n')
}

function* inPieces(lines: Iterable<Buffer>): Generator<Buffer, void> {
  let piece: Buffer[] = []
  for (const line of lines) {
    if (piece.push(line) < LINES_AT_ONCE) continue
    yield Buffer.concat(piece)
    piece = []
  }
  yield Buffer.concat(piece)
}

/** Sections before the pack (`acknowledgments`, `shallow-info`) end with a delimiter. */
async function passSections(reader: PktReader): Promise<void> {
  for (let count = 0; count < MAX_LINES_BEFORE_PACK; count++) {
    const packet = await readPacket(reader)
    if (packet.type === 'flush') throw new UnexpectedAnswerError('the server sends no pack')
    if (packet.type === 'data' && pktText(packet.payload) === 'packfile') return
  }
  throw new UnexpectedAnswerError(`more than ${MAX_LINES_BEFORE_PACK} lines before the pack`)
}

/**
 * Without `multi_ack` the answer begins with `NAK`, or with `ACK` and a common commit, which may come several times.
 *
 * @returns the first packet after that
 */
async function passAcknowledgments(reader: PktReader): Promise<Packet> {
  for (let count = 0; count < MAX_LINES_BEFORE_PACK; count++) {
    const packet = await readPacket(reader)
    const line = packet.type === 'data' ? pktText(packet.payload.subarray(0, MAX_ACKNOWLEDGMENT)) : ''
    if (line !== 'NAK' && !/^ACK [0-9a-f]{40}$/.test(line)) {
      if (count > 0) return packet
      throw new UnexpectedAnswerError(`expected ACK or NAK, got ${JSON.stringify(line || packet.type)}`)
    }
  }
  throw new UnexpectedAnswerError(`more than ${MAX_LINES_BEFORE_PACK} lines before the pack`)
}
