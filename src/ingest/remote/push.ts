import type { Oid } from '../../git/oid.ts'
import type { RemoteRef } from '../../git/protocol/client/greeting.ts'
import {
  encodePush,
  isAtomic,
  NO_OID,
  type PushCommand,
  readPushReport,
} from '../../git/protocol/client/push.ts'
import type { OnProgress } from '../../git/protocol/client/side-band.ts'
import type { GitTransport, Patience } from '../../git/transport/connection.ts'
import { RemoteProtocolError } from '../../git/transport/errors.ts'
import { AbortedError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { type Conversation, closeOnAbort, greet, remoteError } from './conversation.ts'

/** A ref that the remote is to have. */
export interface PushUpdate {
  readonly ref: string
  readonly oid: Oid
}

export interface PushRequest {
  /** In the order in which a server that cannot change them all at once is to change them; each ref once. */
  readonly updates: readonly PushUpdate[]
  /** Makes the pack. Called only when there is something to change. */
  pack(): AsyncIterable<Uint8Array>
  /** Also change refs that have another value on the remote. */
  readonly force?: boolean
}

/** What came of one update. */
export interface PushedRef extends PushUpdate {
  /**
   * `created`, `changed` (by force), `unchanged` (the remote had it), `differs` (the remote has another value, and was not
   * forced) or `refused` by the server.
   */
  readonly outcome: 'created' | 'changed' | 'unchanged' | 'differs' | 'refused'
  /** For `differs` the remote's value, for `refused` the server's words. */
  readonly reason?: string
}

export interface PushResult {
  /** As many as updates, in their order. */
  readonly refs: readonly PushedRef[]
  /** Whether the remote changed all refs at once; else those before a failure are changed. */
  readonly atomic: boolean
  readonly bytesSent: number
  readonly bytesReceived: number
}

export interface PushTarget {
  readonly name: string
  readonly transport: GitTransport
  readonly patience: Patience
  readonly onProgress?: OnProgress
}

/** See `GitRemote.push`. */
export async function pushTo(
  target: PushTarget,
  request: PushRequest,
  { signal }: AbortOptions = {},
): Promise<PushResult> {
  const { name, transport, patience } = target
  const traffic = { received: 0, sent: 0 }
  const context = { traffic, patience, ...(signal === undefined ? {} : { signal }) }
  // Servers know no version 2 of pushing.
  const conversation = await greet(name, await transport.connect('git-receive-pack', 'none', context), signal)
  const release = closeOnAbort(conversation.connection, signal)
  let isWhole = false
  try {
    const present = await presentRefs(name, conversation, request.updates)
    const commands = commandsFor(request, present)
    const refused =
      commands.length === 0
        ? new Map<string, string>()
        : await send(conversation, commands, request, target.onProgress)
    isWhole = true
    return {
      refs: request.updates.map((update) => outcomeOf(update, present.get(update.ref), refused, request)),
      atomic: isAtomic(conversation.greeting.capabilities),
      bytesSent: traffic.sent,
      bytesReceived: traffic.received,
    }
  } catch (error) {
    throw remoteError(name, error, signal)
  } finally {
    release()
    await conversation.connection.close(isWhole ? undefined : new AbortedError('the push failed'))
  }
}

async function presentRefs(
  name: string,
  { greeting }: Conversation,
  updates: readonly PushUpdate[],
): Promise<Map<string, Oid>> {
  if (greeting.version !== 0) throw new RemoteProtocolError(name, 'it answers a push in version 2')
  const asked = new Set(updates.map(({ ref }) => ref))
  if (asked.size < updates.length) throw new RangeError('a ref stands twice in one push')
  const present = new Map<string, Oid>()
  for await (const { name: ref, oid } of greeting.refs as AsyncIterable<RemoteRef>) {
    if (asked.has(ref)) present.set(ref, oid)
  }
  return present
}

function commandsFor(request: PushRequest, present: ReadonlyMap<string, Oid>): PushCommand[] {
  const commands: PushCommand[] = []
  for (const { ref, oid } of request.updates) {
    const before = present.get(ref) ?? NO_OID
    if (before === NO_OID || (before !== oid && request.force)) commands.push({ ref, before, after: oid })
  }
  return commands
}

async function send(
  { connection, greeting }: Conversation,
  commands: readonly PushCommand[],
  request: PushRequest,
  onProgress: OnProgress | undefined,
): Promise<ReadonlyMap<string, string>> {
  const body = encodePush(greeting.capabilities, commands, request.pack())
  return readPushReport(await connection.exchange(body), commands, onProgress)
}

function outcomeOf(
  update: PushUpdate,
  before: Oid | undefined,
  refused: ReadonlyMap<string, string>,
  { force }: PushRequest,
): PushedRef {
  if (before === update.oid) return { ...update, outcome: 'unchanged' }
  if (before !== undefined && !force) return { ...update, outcome: 'differs', reason: before }
  const reason = refused.get(update.ref)
  if (reason !== undefined) return { ...update, outcome: 'refused', reason }
  return { ...update, outcome: before === undefined ? 'created' : 'changed' }
}
