import { type Packet, type PktReader, pktText } from '../pkt-line.ts'
import { GitServerError, serverWords, UnexpectedAnswerError } from './errors.ts'

const ERROR_START = 'ERR '

/**
 * The next packet of an answer.
 *
 * @throws UnexpectedAnswerError when the answer ends here
 * @throws GitServerError for an `ERR` packet
 * @throws PktLineError for bytes that are no packet
 */
export async function readPacket(reader: PktReader): Promise<Packet> {
  const packet = await reader.read()
  if (packet === undefined) throw new UnexpectedAnswerError('the answer ends too early')
  if (packet.type === 'data' && packet.payload.toString('latin1', 0, 4) === ERROR_START) {
    throw new GitServerError(serverWords(pktText(packet.payload.subarray(ERROR_START.length))))
  }
  return packet
}

/** The text of the next packet; `undefined` at a flush. @throws as `readPacket`, and for other packets without payload */
export async function readLine(reader: PktReader): Promise<string | undefined> {
  const packet = await readPacket(reader)
  if (packet.type === 'data') return pktText(packet.payload)
  if (packet.type === 'flush') return undefined
  throw new UnexpectedAnswerError(`a ${packet.type} packet where a line was expected`)
}
