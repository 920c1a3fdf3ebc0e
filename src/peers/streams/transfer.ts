/**
 * Transfers: data of any length over a channel, under credit that the receiver grants, so that neither side ever holds more
 * than a window of it. See `protocol/messages/transfer.ts` for the frames.
 */
import {
  CREDIT,
  CREDIT_WINDOW,
  FRAME,
  MAX_FRAME_DATA,
  type Refusal,
  TRANSFER_STALL_TIMEOUT,
  TransferDigest,
} from '../../../protocol/index.ts'
import { AbortedError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Throttle } from '../../util/throttle.ts'
import { whileWaiting } from '../../util/while-waiting.ts'
import { PeerProtocolError } from '../errors.ts'
import type { Channel } from './channel.ts'
import { FrameBatch } from './frame-batch.ts'
import { GRANT_SIZE, MAX_LATE_GRANTS } from './limits.ts'
import { Pace } from './pace.ts'
import { ReceivedData } from './received-data.ts'
import { refusedError } from './refusal.ts'
import { releaseAlone } from './release.ts'

export interface TransferOptions extends AbortOptions {
  /** Limits the bytes a second, of all transfers that share it. */
  readonly limit?: Throttle
  /** Milliseconds of the other side's silence that end the transfer; for tests. */
  readonly silence?: number
}

/**
 * Sends all of the data, each chunk before the next is asked for, then its length and digest, and waits until the other side has closed the stream.
 *
 * @throws PeerStalledError when the other side grants nothing, or next to nothing, for too long
 * @throws PeerProtocolError, PeerUnreachableError, AbortedError, what the source throws; the stream is left open then, so that a refusal
 *   can be sent
 */
export async function sendTransfer(
  channel: Channel,
  source: AsyncIterable<Uint8Array>,
  options: TransferOptions = {},
): Promise<void> {
  const credit = new Credit(channel, options)
  const digest = new TransferDigest()
  try {
    const batch = new FrameBatch()
    const flush = async (): Promise<void> => {
      const bytes = batch.take()
      if (bytes === undefined) return
      await options.limit?.take(bytes.length, options)
      await credit.pace.during(channel.write(bytes, options))
    }
    // What is there goes out before the source is waited for: a walk may take a while.
    for await (const chunk of whileWaiting(source, flush)) {
      digest.update(chunk)
      for (let at = 0; at < chunk.length; ) {
        const granted = credit.takeUpTo(Math.min(MAX_FRAME_DATA, chunk.length - at))
        if (granted === 0) {
          await flush()
          await credit.wait(options)
          continue
        }
        batch.add(chunk.subarray(at, at + granted))
        at += granted
        if (batch.full) await flush()
      }
    }
    await flush()
    await channel.send(FRAME, { end: digest.end() }, options)
    await channel.end()
    await credit.finished(options)
  } finally {
    credit.stop()
  }
}

/** What the receiver allows, as its messages come in. */
class Credit {
  readonly pace: Pace
  readonly #channel: Channel
  #granted = 0

  constructor(channel: Channel, { silence = TRANSFER_STALL_TIMEOUT }: TransferOptions) {
    this.#channel = channel
    this.pace = new Pace({ peer: channel.peer, silence, onStall: (error) => channel.abort(error) })
  }

  takeUpTo(bytes: number): number {
    const taken = Math.min(bytes, this.#granted)
    this.#granted -= taken
    return taken
  }

  /** Resolves when there is some. */
  async wait(options: AbortOptions): Promise<void> {
    const { bytes } = await this.pace.during(this.#channel.receive(CREDIT, options))
    this.#granted += bytes
    if (this.#granted > CREDIT_WINDOW) {
      throw new PeerProtocolError(`the peer ${this.#channel.peer} granted more than a window of credit`)
    }
    this.pace.progress(bytes)
  }

  /** Reads what is granted still, until the receiver has said all. */
  async finished(options: AbortOptions): Promise<void> {
    for (let grants = 0; ; grants++) {
      const message = await this.pace.during(this.#channel.read(options))
      if (message === undefined) return
      if (grants >= MAX_LATE_GRANTS) {
        throw new PeerProtocolError(`the peer ${this.#channel.peer} grants credit after the end`)
      }
    }
  }

  stop(): void {
    this.pace.stop()
  }
}

/**
 * The data of a transfer, complete and right when the iteration ends without an error. What is given is valid until the next
 * is asked for. Leaving the loop early drops the stream.
 *
 * @throws PeerRefusedError when the other side says that it cannot
 * @throws PeerStalledError when it sends nothing, or next to nothing, for too long
 * @throws PeerProtocolError, PeerUnreachableError, AbortedError
 */
export async function* receiveTransfer(
  channel: Channel,
  options: TransferOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { silence = TRANSFER_STALL_TIMEOUT, limit, signal } = options
  const pace = new Pace({ peer: channel.peer, silence, onStall: (error) => channel.abort(error) })
  const intake = new Intake(channel, pace)
  let taken = 0
  let complete = false
  try {
    await channel.send(CREDIT, { bytes: CREDIT_WINDOW }, options)
    void intake.run(options)
    for (;;) {
      const data = await intake.received.next()
      if (signal?.aborted) throw new AbortedError()
      if (data === undefined) break
      await limit?.take(data.length, options)
      yield data
      taken += data.length
      if (taken < GRANT_SIZE) continue
      intake.granted(taken)
      await channel.send(CREDIT, { bytes: taken }, options)
      taken = 0
    }
    complete = true
  } finally {
    pace.stop()
    if (complete) await channel.close()
    else channel.abort(channel.failure ?? new PeerProtocolError('the transfer is not wanted any more'))
    intake.received.close()
  }
}

/** Takes frames in as they come, as far as there is credit for them. */
class Intake {
  readonly received = new ReceivedData()
  readonly #channel: Channel
  readonly #pace: Pace
  readonly #digest = new TransferDigest()
  #credit = CREDIT_WINDOW
  #wake: (() => void) | undefined

  constructor(channel: Channel, pace: Pace) {
    this.#channel = channel
    this.#pace = pace
  }

  /** Goes on until all has come, or something is wrong: `received` tells. */
  async run(options: AbortOptions): Promise<void> {
    try {
      while (await this.#takeFrame(options)) await this.#credited()
      this.received.end()
    } catch (error) {
      this.received.end(error)
    }
  }

  granted(bytes: number): void {
    this.#credit += bytes
    this.#wake?.()
  }

  /** Whether more is to come. */
  async #takeFrame(options: AbortOptions): Promise<boolean> {
    const { peer } = this.#channel
    const { data, end, refusal } = await this.#pace.during(this.#channel.receive(FRAME, options))
    if (refusal !== undefined) throw refusedError(peer, refusal)
    if (end !== undefined) {
      checkDigest(peer, this.#digest, end)
      return false
    }
    if (data === undefined) return true
    this.#digest.update(data)
    this.#pace.progress(data.length)
    this.#credit -= data.length
    this.received.push(data)
    releaseAlone(data)
    return true
  }

  /** Without credit the other side waits for us: it is not to blame, and what it sends all the same stays where it is. */
  async #credited(): Promise<void> {
    while (this.#credit <= 0 && this.#channel.failure === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** Ends a transfer that cannot be made, or not be finished. */
export async function refuseTransfer(channel: Channel, refusal: Refusal): Promise<void> {
  if (channel.failure !== undefined) return
  await channel.send(FRAME, { refusal })
  await channel.close()
}

function checkDigest(
  peer: string,
  digest: TransferDigest,
  end: Parameters<TransferDigest['check']>[0],
): void {
  try {
    digest.check(end)
  } catch (cause) {
    throw new PeerProtocolError(`what the peer ${peer} sent is not what it says that it sent`, { cause })
  }
}
