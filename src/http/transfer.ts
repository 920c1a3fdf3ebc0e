import type { ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'

import { BodyLengthError } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { FAIR_SHARE, RETRY_AFTER_SECONDS } from './limits.ts'

/** Bounds how many bodies stream at once. */
export class TransferSlots {
  readonly limit: number
  #used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Takes a slot; `undefined` when none is free. The returned function gives it back, once. */
  acquire(): (() => void) | undefined {
    if (this.#used >= this.limit) return undefined
    this.#used++
    let held = true
    return () => {
      if (held) this.#used--
      held = false
    }
  }
}

/** Answers a client for which there is no slot. Nix tries again some times; it would stop for a minute on 429. */
export function tooBusy(exchange: Exchange): void {
  exchange.text(503, 'too many transfers at once, try again', { 'Retry-After': RETRY_AFTER_SECONDS })
}

/** A body whose first chunk is there already, so that a package that cannot be read is found before the headers. */
export interface StartedBody {
  readonly first: IteratorResult<Uint8Array>
  readonly rest: AsyncIterator<Uint8Array>
  /** Told of every chunk whose bytes the system has taken. */
  readonly recycle?: ((chunk: Uint8Array) => void) | undefined
}

/**
 * Reads the first chunk of a body. The caller hands the result to `sendBody`, which releases the iterator.
 *
 * @param length - bytes that the body should have, where it is known
 * @param recycle - told of every chunk that has been sent, see `NarBody.recycle`
 * @throws BodyLengthError when there is none; whatever the body throws
 */
export async function startBody(
  chunks: AsyncIterable<Uint8Array>,
  length: number | undefined,
  recycle?: (chunk: Uint8Array) => void,
): Promise<StartedBody> {
  const rest = chunks[Symbol.asyncIterator]()
  const first = await rest.next()
  if (first.done === true && length !== 0) throw new BodyLengthError(0, length ?? 1)
  return { first, rest, recycle }
}

/**
 * Writes a started body to a response whose head is written, with backpressure, ends it, and returns when the last byte
 * has left our memory, so that whoever reads slowly keeps its slot. When the body fails, is
 * not exactly `length` bytes long or the client leaves, the socket is destroyed: a short body never ends cleanly. The
 * iterator is released in any case.
 *
 * @param length - the promised length in bytes; `undefined` for a chunked body
 * @param signal - fires when the client leaves
 * @throws ClientGoneError when the client left; BodyLengthError; whatever the body threw
 */
export async function sendBody(
  res: ServerResponse,
  body: StartedBody,
  length: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  try {
    let sent = 0
    let share = 0
    for (let step = body.first; step.done !== true; step = await body.rest.next()) {
      signal.throwIfAborted()
      const chunk = step.value
      sent += chunk.byteLength
      share += chunk.byteLength
      if (length !== undefined && sent > length) throw new BodyLengthError(sent, length)
      await written(res, chunk, signal, body.recycle)
      if (share >= FAIR_SHARE) {
        share = 0
        await nextTurn()
      }
    }
    signal.throwIfAborted()
    if (length !== undefined && sent !== length) throw new BodyLengthError(sent, length)
    res.end()
    await flushed(res, signal)
  } catch (error) {
    res.destroy()
    throw signal.aborted ? signal.reason : error
  } finally {
    await body.rest.return?.()
  }
}

/**
 * Writes a chunk and waits, where need be, until the response takes more; rejects when the client leaves first.
 *
 * @param recycle - told of the chunk when the system has taken all of it
 */
export async function written(
  res: ServerResponse,
  chunk: Uint8Array,
  signal: AbortSignal,
  recycle?: (chunk: Uint8Array) => void,
): Promise<void> {
  const taken = recycle && ((error?: Error | null) => error ?? recycle(chunk))
  if (!res.write(chunk, taken)) await happened(res, 'drain', signal)
}

/** Waits until the whole response has left our memory; rejects when the client leaves first. */
export async function flushed(res: ServerResponse, signal: AbortSignal): Promise<void> {
  if (!res.writableFinished) await happened(res, 'finish', signal)
}

/** Waits for an event of a response; rejects when the client leaves first. */
function happened(res: ServerResponse, event: 'drain' | 'finish', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      res.off(event, settle)
      signal.removeEventListener('abort', settle)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    if (signal.aborted) {
      settle()
      return
    }
    res.on(event, settle)
    signal.addEventListener('abort', settle)
  })
}
