import type { Packet, PktReader } from '../pkt-line.ts'
import { GitServerError, serverWords, UnexpectedAnswerError } from './errors.ts'
import { readPacket } from './packets.ts'

/** Told what the server says of its progress: one line, fit for a terminal. */
export type OnProgress = (words: string) => void

const DATA = 1
const PROGRESS = 2
const FAILURE = 3

/**
 * The data of a multiplexed answer (`side-band-64k`) up to its flush, in the pieces in which it comes. A piece is valid
 * until the next one is asked for.
 *
 * @param first a packet of it that was read already
 * @throws GitServerError when the server reports a failure
 * @throws UnexpectedAnswerError, PktLineError when the answer breaks off or is none
 */
export async function* readSideBand(
  reader: PktReader,
  onProgress: OnProgress = () => {},
  first?: Packet,
): AsyncGenerator<Buffer, void> {
  let next = first
  for (;;) {
    const packet = next ?? (await readPacket(reader))
    next = undefined
    if (packet.type === 'flush') return
    if (packet.type !== 'data') throw new UnexpectedAnswerError(`a ${packet.type} packet within the data`)
    const { payload } = packet
    const content = payload.subarray(1)
    if (payload[0] === DATA) {
      // Empty packets keep the connection alive while the server works.
      if (content.length > 0) yield content
    } else if (payload[0] === PROGRESS) onProgress(serverWords(content.toString()))
    else if (payload[0] === FAILURE) throw new GitServerError(serverWords(content.toString()))
    else throw new UnexpectedAnswerError(`data on a channel ${payload[0] ?? 'without number'}`)
  }
}
