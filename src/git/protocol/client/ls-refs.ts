/** The command `ls-refs` of version 2 of Git's protocol. */
import { DELIM_PKT, encodePkt, FLUSH_PKT, type PktReader } from '../pkt-line.ts'
import { AGENT, type Capabilities } from './capabilities.ts'
import { UnexpectedAnswerError } from './errors.ts'
import { MAX_REFS, parseRefLine, type RemoteRef } from './greeting.ts'
import { readLine } from './packets.ts'

/**
 * Most prefixes of one command. Git's server compares each ref that it sends with each prefix, and from 65,536 of them on
 * ignores them and sends all refs.
 */
export const MAX_REF_PREFIXES = 4096

/** The lines with which every command of version 2 begins. */
export function commandHeader(command: string, capabilities: Capabilities): Buffer[] {
  const lines = [encodePkt(`command=${command}\n`)]
  if (capabilities.has('agent')) lines.push(encodePkt(`agent=${AGENT}\n`))
  if (capabilities.has('object-format')) lines.push(encodePkt('object-format=sha1\n'))
  return [...lines, DELIM_PKT]
}

/**
 * Asks for the refs that begin with one of the prefixes.
 *
 * @throws RangeError for more than `MAX_REF_PREFIXES`
 */
export function encodeLsRefs(capabilities: Capabilities, prefixes: readonly string[]): Buffer {
  if (prefixes.length > MAX_REF_PREFIXES) throw new RangeError(`${prefixes.length} ref prefixes at once`)
  const lines = prefixes.map((prefix) => encodePkt(`ref-prefix ${prefix}\n`))
  return Buffer.concat([...commandHeader('ls-refs', capabilities), ...lines, FLUSH_PKT])
}

/**
 * The refs of one answer as they come. A server may send others than those that were asked for.
 *
 * @throws UnexpectedAnswerError, PktLineError, GitServerError
 */
export async function* readLsRefs(reader: PktReader): AsyncGenerator<RemoteRef, void> {
  for (let count = 0; ; count++) {
    const line = await readLine(reader)
    if (line === undefined) return
    if (count === MAX_REFS) throw new UnexpectedAnswerError(`the server has more than ${MAX_REFS} refs`)
    yield parseRefLine(line)
  }
}
