/** The two kinds of conversation on streams: a question with one answer, and a question whose answer is a transfer. */
import type { Stream } from '@libp2p/interface'
import { type Codec, MAX_FRAME_BYTES, REQUEST_TIMEOUT, type Refusal } from '../../../protocol/index.ts'
import { AbortedError, errorMessage } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import type { Throttle } from '../../util/throttle.ts'
import type { Offence } from '../book/penalty.ts'
import { PeerProtocolError, PeerStalledError } from '../errors.ts'
import type { StreamHandler } from '../swarm/swarm.ts'
import { Channel } from './channel.ts'
import { makeRefusal, refusalFor, refusedError } from './refusal.ts'
import type { Slots } from './slots.ts'
import { receiveTransfer, refuseTransfer, sendTransfer, type TransferOptions } from './transfer.ts'

/** Messages that somebody else encodes and decodes. */
export function rawCodec(name: string): Codec<Uint8Array> {
  return { name, encode: (bytes) => bytes, decode: (bytes) => bytes }
}

/** What conversations need of the mesh. */
export interface ExchangeContext {
  readonly logger: Logger
  /** A peer broke the rules. */
  penalize(peer: string, offence: Offence, details: string): void
  /** Bytes that came from and went to a peer. */
  count(peer: string, received: number, sent: number): void
  /** Opens a stream. */
  open(peer: string, protocol: string, options: AbortOptions): Promise<Stream>
  /** Fires when the node leaves the mesh. */
  readonly stopping: AbortSignal
}

export interface Question<Q, A> {
  readonly protocol: string
  readonly request: Codec<Q>
  readonly answer: Codec<A>
  /** Bytes of the longest answer. */
  readonly maxAnswer: number
}

/**
 * Asks a peer one thing.
 *
 * @throws PeerRefusedError, PeerStalledError after 10 s, PeerProtocolError, PeerUnreachableError, AbortedError
 */
export async function ask<Q, A extends object>(
  context: ExchangeContext,
  peer: string,
  { protocol, request, answer, maxAnswer }: Question<Q, A>,
  question: Q,
  options: AbortOptions = {},
): Promise<A> {
  return await withDeadline(peer, options, async (signal) => {
    const channel = await openChannel(context, peer, protocol, maxAnswer, { signal })
    try {
      await channel.send(request, question, { signal })
      await channel.end()
      const reply = await channel.receive(answer, { signal })
      await channel.close()
      const { refusal } = reply as { refusal?: Refusal }
      if (refusal !== undefined) throw refusedError(peer, refusal)
      return reply
    } catch (error) {
      channel.abort(asError(error))
      throw blame(context, peer, error)
    }
  })
}

/**
 * Asks a peer for what comes as a transfer; see `receiveTransfer`.
 *
 * @throws what `receiveTransfer` throws
 */
export async function* askTransfer<Q>(
  context: ExchangeContext,
  peer: string,
  { protocol, request }: Pick<Question<Q, never>, 'protocol' | 'request'>,
  question: Q,
  options: TransferOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const channel = await withDeadline(peer, options, (signal) =>
    openChannel(context, peer, protocol, MAX_FRAME_BYTES, { signal }),
  )
  try {
    await channel.send(request, question, options)
    yield* receiveTransfer(channel, options)
  } catch (error) {
    throw blame(context, peer, error)
  } finally {
    channel.abort(new AbortedError('the transfer is not needed any more'))
  }
}

export interface Handling<Q> {
  readonly request: Codec<Q>
  /** Bytes of the longest question. */
  readonly maxRequest: number
  readonly slots: Slots
}

/**
 * Makes a handler that answers one question a stream. `answer` can throw `Refuse`.
 *
 * @param refused the answer that is a refusal
 */
export function answering<Q, A extends object>(
  context: ExchangeContext,
  handling: Handling<Q>,
  codec: Codec<A>,
  refused: (refusal: Refusal) => A,
  answer: (question: Q, peer: string, options: { signal: AbortSignal }) => Promise<A> | A,
): StreamHandler {
  const refuse = (channel: Channel, refusal: Refusal): Promise<void> =>
    channel.send(codec, refused(refusal)).then(() => channel.close())
  return handler(context, handling, refuse, async (channel, question, signal) => {
    await channel.send(codec, await answer(question, channel.peer, { signal }), { signal })
    await channel.close()
  })
}

/** Makes a handler that answers with a transfer. `answer` can throw `Refuse` before its first chunk and later. */
export function answeringByTransfer<Q>(
  context: ExchangeContext,
  handling: Handling<Q> & { readonly limit: Throttle },
  answer: (question: Q, peer: string, options: { signal: AbortSignal }) => AsyncIterable<Uint8Array>,
): StreamHandler {
  const { limit } = handling
  return handler(context, handling, refuseTransfer, async (channel, question, signal) => {
    await sendTransfer(channel, answer(question, channel.peer, { signal }), { signal, limit })
    await channel.close()
  })
}

function handler<Q>(
  context: ExchangeContext,
  { request, maxRequest, slots }: Handling<Q>,
  refuse: (channel: Channel, refusal: Refusal) => Promise<void>,
  converse: (channel: Channel, question: Q, signal: AbortSignal) => Promise<void>,
): StreamHandler {
  return async (stream, peer) => {
    const slot = slots.take(peer)
    if (slot === 'flood') {
      context.penalize(peer, 'flood', 'requests')
      stream.abort(new PeerProtocolError('too many requests'))
      return
    }
    const count = (received: number, sent: number) => context.count(peer, received, sent)
    const gone = new AbortController()
    const onFailure = () => gone.abort()
    const channel = new Channel({ stream, peer, maxMessage: maxRequest, count, onFailure })
    const signal = AbortSignal.any([context.stopping, gone.signal])
    let asked = false
    try {
      if (slot === 'busy') {
        await refuse(channel, makeRefusal('BUSY', 'too many requests at once'))
        return
      }
      const question = await withDeadline(peer, { signal }, (limited) =>
        channel.receive(request, { signal: limited }),
      )
      asked = true
      await converse(channel, question, signal)
    } catch (error) {
      context.logger.debug({ peer, err: error, protocol: stream.protocol }, 'could not answer a peer')
      // Who is slow to take an answer may be busy. Who asks nothing holds a place that others want.
      if (!asked) blame(context, peer, error)
      else if (error instanceof PeerProtocolError) context.penalize(peer, 'protocol', error.message)
      await refuse(channel, refusalFor(error)).catch(() => {})
      channel.abort(asError(error))
    } finally {
      gone.abort()
      if (slot === 'taken') slots.release(peer)
    }
  }
}

async function openChannel(
  context: ExchangeContext,
  peer: string,
  protocol: string,
  maxMessage: number,
  options: { signal: AbortSignal },
): Promise<Channel> {
  const stream = await context.open(peer, protocol, options)
  return new Channel({
    stream,
    peer,
    maxMessage,
    count: (received, sent) => context.count(peer, received, sent),
  })
}

/** Runs something that must be done within the time of a request. */
async function withDeadline<T>(
  peer: string,
  { signal }: AbortOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeout = AbortSignal.timeout(REQUEST_TIMEOUT)
  try {
    return await work(signal === undefined ? timeout : AbortSignal.any([signal, timeout]))
  } catch (error) {
    if (!timeout.aborted || signal?.aborted) throw error
    throw new PeerStalledError(`the peer ${peer} did not answer within ${REQUEST_TIMEOUT / 1000} s`, {
      cause: error,
    })
  }
}

/** Notes what a peer did wrong by this error, which is given back. */
function blame(context: ExchangeContext, peer: string, error: unknown): unknown {
  if (error instanceof PeerProtocolError) context.penalize(peer, 'protocol', error.message)
  if (error instanceof PeerStalledError) context.penalize(peer, 'stall', error.message)
  return error
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorMessage(error))
}
