/** Pushing refs and a pack to `git-receive-pack` (gitprotocol-pack). */
import type { Oid } from '../../oid.ts'
import { isRefName } from '../../refs/ref-name.ts'
import { encodePkt, FLUSH_PKT, PktReader } from '../pkt-line.ts'
import { AGENT, type Capabilities } from './capabilities.ts'
import { GitServerError, serverWords, UnexpectedAnswerError, UnsupportedServerError } from './errors.ts'
import { readLine } from './packets.ts'
import { type OnProgress, readSideBand } from './side-band.ts'

/** The id that stands for a ref which is not there. */
export const NO_OID: Oid = '0'.repeat(40)

/** A ref to change. */
export interface PushCommand {
  readonly ref: string
  /** What the server has now; `NO_OID` for a new ref. */
  readonly before: Oid
  readonly after: Oid
}

/** Whether the server changes all of the refs or none, when it is asked to. */
export function isAtomic(capabilities: Capabilities): boolean {
  return capabilities.has('atomic')
}

/**
 * The request: commands in their order, then the pack.
 *
 * @param pack a whole pack with everything that the server lacks, without deltas against what it has
 * @throws RangeError without commands, or for what is no ref name
 * @throws UnsupportedServerError when the server cannot report what came of it
 */
export function encodePush(
  capabilities: Capabilities,
  commands: readonly PushCommand[],
  pack: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  for (const name of ['report-status', 'side-band-64k']) {
    if (!capabilities.has(name)) {
      throw new UnsupportedServerError(`the server is too old to push to: it does not offer ${name}`)
    }
  }
  if (commands.length === 0) throw new RangeError('a push needs a ref to change')
  for (const { ref } of commands) if (!isRefName(ref)) throw new RangeError(`no ref name: ${ref}`)
  const options = ['report-status', 'side-band-64k', 'quiet', 'atomic'].filter((name) =>
    capabilities.has(name),
  )
  if (capabilities.has('object-format')) options.push('object-format=sha1')
  if (capabilities.has('agent')) options.push(`agent=${AGENT}`)
  return request(commands, options.join(' '), pack)
}

async function* request(
  commands: readonly PushCommand[],
  options: string,
  pack: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  for (const [i, { before, after, ref }] of commands.entries()) {
    yield encodePkt(`${before} ${after} ${ref}${i === 0 ? `\0${options}` : ''}`)
  }
  yield FLUSH_PKT
  yield* pack
}

/**
 * The server's report: for each ref that it did not change its reason.
 *
 * @throws GitServerError when the server did not accept the pack
 * @throws UnexpectedAnswerError, PktLineError when the report is not one of these commands
 */
export async function readPushReport(
  reader: PktReader,
  commands: readonly PushCommand[],
  onProgress?: OnProgress,
): Promise<ReadonlyMap<string, string>> {
  const report = new PktReader(readSideBand(reader, onProgress))
  const unpacked = await readLine(report)
  if (unpacked === undefined || !unpacked.startsWith('unpack ')) {
    throw new UnexpectedAnswerError('the report does not begin with "unpack"')
  }
  const failure = unpacked === 'unpack ok' ? undefined : serverWords(unpacked.slice('unpack '.length))
  const waiting = new Set(commands.map(({ ref }) => ref))
  const refused = new Map<string, string>()
  for (;;) {
    const line = await readLine(report)
    if (line === undefined) break
    const [, state, ref = '', reason] = /^(ok|ng) (\S+)(?: (.*))?$/s.exec(line) ?? []
    if (state === undefined || !waiting.delete(ref)) {
      throw new UnexpectedAnswerError(`the report holds ${JSON.stringify(line.slice(0, 80))}`)
    }
    if (state === 'ng') refused.set(ref, serverWords(reason ?? 'without a reason'))
  }
  if (failure !== undefined) throw new GitServerError(`the pack was not accepted: ${failure}`)
  if (waiting.size > 0) throw new UnexpectedAnswerError(`the report leaves out ${waiting.size} refs`)
  return refused
}
