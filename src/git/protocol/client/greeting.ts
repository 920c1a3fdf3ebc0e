/**
 * What a Git server says first: its capabilities (version 2 of the protocol, gitprotocol-v2) or all of its refs
 * (versions 0 and 1, gitprotocol-pack).
 */
import { isOid, type Oid } from '../../oid.ts'
import type { PktReader } from '../pkt-line.ts'
import { type Capabilities, parseCapability, requireSha1 } from './capabilities.ts'
import { UnexpectedAnswerError } from './errors.ts'
import { readLine } from './packets.ts'

/** Most capabilities that are read. Git names a dozen. */
export const MAX_CAPABILITIES = 1000

/** Most refs of one advertisement or answer, more than any repository is known to have. */
export const MAX_REFS = 10_000_000

/** A ref of the other side. */
export interface RemoteRef {
  readonly name: string
  readonly oid: Oid
}

/** A server of version 2 waits for commands after this. */
export interface GreetingV2 {
  readonly version: 2
  readonly capabilities: Capabilities
}

/** The refs must be read to their end before anything is sent. */
export interface GreetingV0 {
  readonly version: 0
  readonly capabilities: Capabilities
  readonly refs: AsyncGenerator<RemoteRef, void, undefined>
}

export type Greeting = GreetingV2 | GreetingV0

/**
 * Reads a greeting, of version 0 up to its first ref.
 *
 * @throws UnexpectedAnswerError, PktLineError when it is none
 * @throws GitServerError when the server refuses
 * @throws UnsupportedServerError when the repository has other ids than SHA-1
 */
export async function readGreeting(reader: PktReader): Promise<Greeting> {
  let line = await readLine(reader)
  // Over HTTP the service may be named first.
  if (line?.startsWith('# service=')) {
    if ((await readLine(reader)) !== undefined) {
      throw new UnexpectedAnswerError('the name of the service is not followed by a flush')
    }
    line = await readLine(reader)
  }
  if (line === 'version 2') return { version: 2, capabilities: await readCapabilities(reader) }
  if (line === 'version 1') line = await readLine(reader)
  if (line === undefined) return { version: 0, capabilities: new Map(), refs: noRefs() }
  const nul = line.indexOf('\0')
  if (nul < 0) throw new UnexpectedAnswerError('the first ref comes without capabilities')
  const words = line.slice(nul + 1).split(' ', MAX_CAPABILITIES)
  const capabilities = new Map(words.filter((word) => word !== '').map(parseCapability))
  requireSha1(capabilities)
  return { version: 0, capabilities, refs: advertisedRefs(parseRefLine(line.slice(0, nul)), reader) }
}

/** Takes `<id> <name>` apart, whatever follows the name after a space. @throws UnexpectedAnswerError */
export function parseRefLine(line: string): RemoteRef {
  const oid = line.slice(0, 40)
  const end = line.indexOf(' ', 41)
  const name = line.slice(41, end < 0 ? line.length : end)
  if (!isOid(oid) || line[40] !== ' ' || name === '') {
    throw new UnexpectedAnswerError(`expected a ref, got ${JSON.stringify(line.slice(0, 80))}`)
  }
  return { oid, name }
}

async function readCapabilities(reader: PktReader): Promise<Capabilities> {
  const capabilities = new Map<string, string>()
  for (let count = 0; ; count++) {
    const line = await readLine(reader)
    if (line === undefined) break
    if (count === MAX_CAPABILITIES) {
      throw new UnexpectedAnswerError(`the server names more than ${MAX_CAPABILITIES} capabilities`)
    }
    capabilities.set(...parseCapability(line))
  }
  requireSha1(capabilities)
  return capabilities
}

/** Without what is no ref: `capabilities^{}` of an empty repository, peeled tags, `.have` of a server's alternates. */
async function* advertisedRefs(first: RemoteRef, reader: PktReader): AsyncGenerator<RemoteRef, void> {
  if (isRef(first.name)) yield first
  for (let count = 1; ; count++) {
    const line = await readLine(reader)
    if (line === undefined) return
    if (count === MAX_REFS) throw new UnexpectedAnswerError(`the server has more than ${MAX_REFS} refs`)
    if (line.startsWith('shallow ')) continue
    const ref = parseRefLine(line)
    if (isRef(ref.name)) yield ref
  }
}

function isRef(name: string): boolean {
  return name !== '.have' && !name.endsWith('^{}')
}

async function* noRefs(): AsyncGenerator<RemoteRef, void> {}
