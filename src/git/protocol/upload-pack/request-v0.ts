/** Requests of protocol versions 0 and 1 (`gitprotocol-pack`): wants, then haves in rounds, then `done`. */
import type { Oid } from '../../oid.ts'
import type { ObjectFilter } from '../../walk/select.ts'
import { type PktReader, pktText } from '../pkt-line.ts'
import { UploadPackError } from './errors.ts'
import type { SideBand } from './packfile.ts'
import { addId, isShallowLine, parseFilter, shallowRefused } from './request-v2.ts'

/** What we offer; `readWants` understands what clients take of it. */
export const V0_CAPABILITIES =
  'multi_ack multi_ack_detailed no-done side-band side-band-64k ofs-delta no-progress include-tag filter ' +
  'allow-tip-sha1-in-want allow-reachable-sha1-in-want object-format=sha1'

/** How common commits are acknowledged. */
export type AckMode = 'single' | 'multi' | 'detailed'

export interface V0Wants {
  readonly wants: readonly Oid[]
  readonly filter?: ObjectFilter
  readonly sideBand: SideBand
  readonly ackMode: AckMode
  readonly includeTag: boolean
  readonly progress: boolean
}

/**
 * Reads what a client wants; `undefined` when it wants nothing.
 *
 * @throws PktLineError, UploadPackError
 */
export async function readWants(reader: PktReader): Promise<V0Wants | undefined> {
  const wants = new Set<Oid>()
  let capabilities: ReadonlySet<string> = new Set()
  let filter: ObjectFilter | undefined
  for (;;) {
    const packet = reader.buffered() ?? (await reader.read())
    if (packet === undefined && wants.size === 0) return undefined
    if (packet?.type === 'flush') break
    if (packet?.type !== 'data') throw new UploadPackError('the wants do not end with a flush packet')
    const line = pktText(packet.payload)
    if (isShallowLine(line)) throw shallowRefused()
    if (line.startsWith('filter ')) filter = parseFilter(line.slice('filter '.length))
    else if (line.startsWith('want ')) {
      const [want = '', rest] = splitFirst(line, 'want '.length)
      if (wants.size === 0) capabilities = new Set(rest.split(' '))
      addId(wants, want, 'want')
    } else throw new UploadPackError('expected a "want" line')
  }
  if (wants.size === 0) return undefined
  return {
    wants: [...wants],
    ...(filter !== undefined && { filter }),
    sideBand: capabilities.has('side-band-64k') ? 65520 : capabilities.has('side-band') ? 1000 : 'none',
    ackMode: capabilities.has('multi_ack_detailed')
      ? 'detailed'
      : capabilities.has('multi_ack')
        ? 'multi'
        : 'single',
    includeTag: capabilities.has('include-tag'),
    progress: !capabilities.has('no-progress'),
  }
}

/** The line without what follows the first space after `from`, and that. */
function splitFirst(line: string, from: number): [string, string] {
  const space = line.indexOf(' ', from)
  return space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]
}
