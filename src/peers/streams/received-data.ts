import { ChunkPool } from '../../util/chunk-pool.ts'

/** Bytes that are handed on together, when they are there. */
const CHUNK_BYTES = 256 * 1024
/** Chunks of all transfers that wait to be used again: a window. */
const FREE_CHUNKS = 8

const chunks = new ChunkPool(CHUNK_BYTES, FREE_CHUNKS)

/**
 * Data that has come and waits to be taken, in memory that is used again.
 *
 * What libp2p hands out lies in new buffers. While those wait the collector takes them for long-lived, and finds them much later: tens of
 * megabytes of them. So they are copied the moment they come, and can be collected young.
 */
export class ReceivedData {
  readonly #full: Buffer[] = []
  /** The chunk that is being filled. */
  #open: Buffer | undefined
  #used = 0
  #lent: Uint8Array | undefined
  #end: { readonly error: unknown } | undefined
  #wake: (() => void) | undefined
  #closed = false

  /** Takes a copy of the next bytes. */
  push(data: Uint8Array): void {
    if (this.#closed) return
    for (let at = 0; at < data.length; ) {
      this.#open ??= chunks.take()
      const part = data.subarray(at, at + CHUNK_BYTES - this.#used)
      this.#open.set(part, this.#used)
      this.#used += part.length
      at += part.length
      if (this.#used === CHUNK_BYTES) this.#shut()
    }
    this.#wake?.()
  }

  /** Nothing more comes: all has come, or what is given was in the way. */
  end(error?: unknown): void {
    this.#end ??= { error }
    this.#wake?.()
  }

  /**
   * The next bytes, as many as there are, valid until the next call; `undefined` at the end.
   *
   * @throws what the end was given, once all that came before has been taken
   */
  async next(): Promise<Uint8Array | undefined> {
    this.#giveBack()
    for (;;) {
      if (this.#full.length === 0 && this.#open !== undefined) this.#shut()
      const chunk = this.#full.shift()
      if (chunk !== undefined) {
        this.#lent = chunk
        return chunk
      }
      if (this.#end?.error !== undefined) throw this.#end.error
      if (this.#end !== undefined) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Drops what has not been taken, and what comes still. */
  close(): void {
    this.#closed = true
    this.#giveBack()
    if (this.#open !== undefined) this.#shut()
    for (const chunk of this.#full.splice(0)) chunks.give(chunk)
  }

  #shut(): void {
    this.#full.push(this.#open!.subarray(0, this.#used))
    this.#open = undefined
    this.#used = 0
  }

  #giveBack(): void {
    if (this.#lent !== undefined) chunks.give(this.#lent)
    this.#lent = undefined
  }
}
