import type { Oid } from '../../oid.ts'
import { encodePkt, type PktReader, pktText } from '../pkt-line.ts'
import { UploadPackError } from './errors.ts'
import type { AckMode } from './request-v0.ts'
import { addId } from './request-v2.ts'

export interface V0Negotiation {
  readonly reader: PktReader
  readonly ackMode: AckMode
  /** Whether the repository has an object. */
  readonly has: (oid: Oid) => boolean
  /** Whether the client sends its rounds in requests of their own, each with all that is known to be common. */
  readonly stateless: boolean
}

/**
 * Finds the commits that both sides have, answering the client round by round. Every have that we know is acknowledged, and the
 * client is never told to stop: what it has not told of would be sent once more.
 *
 * @returns the common objects once the client is done; `undefined` when it goes on in another request, or leaves
 * @throws PktLineError, UploadPackError
 */
export async function* negotiateV0(
  negotiation: V0Negotiation,
): AsyncGenerator<Buffer, readonly Oid[] | undefined> {
  const { reader, ackMode, has, stateless } = negotiation
  const told = new Set<Oid>()
  const common = new Set<Oid>()
  let last = ''
  for (;;) {
    const packet = reader.buffered() ?? (await reader.read())
    if (packet === undefined) return undefined
    if (packet.type === 'flush') {
      if (ackMode !== 'single' || common.size === 0) yield encodePkt('NAK\n')
      if (stateless) return undefined
      continue
    }
    const line = packet.type === 'data' ? pktText(packet.payload) : ''
    if (line === 'done') break
    if (!line.startsWith('have ')) throw new UploadPackError('expected a "have" line or "done"')
    addId(told, line, 'have')
    const oid = line.slice('have '.length)
    if (!has(oid)) continue
    common.add(oid)
    last = oid
    if (ackMode === 'detailed') yield encodePkt(`ACK ${oid} common\n`)
    else if (ackMode === 'multi') yield encodePkt(`ACK ${oid} continue\n`)
    else if (common.size === 1) yield encodePkt(`ACK ${oid}\n`)
  }
  if (common.size === 0) yield encodePkt('NAK\n')
  else if (ackMode !== 'single') yield encodePkt(`ACK ${last}\n`)
  return [...common]
}
