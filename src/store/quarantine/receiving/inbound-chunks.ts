/** The source of a pack has failed; whoever reads it knows how. */
export class SourceBrokenError extends Error {}

/** A pack's bytes as they come from another thread. A buffer goes back as soon as the next one is asked for. */
export class InboundChunks implements AsyncIterableIterator<Uint8Array> {
  readonly #giveBack: (buffer: ArrayBuffer) => void
  readonly #waiting: { readonly buffer: ArrayBuffer; readonly length: number }[] = []
  #lent: ArrayBuffer | undefined
  #end: { readonly error: Error | undefined } | undefined
  #wake: (() => void) | undefined

  constructor(giveBack: (buffer: ArrayBuffer) => void) {
    this.#giveBack = giveBack
  }

  /** The next bytes are the first `length` of a buffer. */
  push(buffer: ArrayBuffer, length: number): void {
    this.#waiting.push({ buffer, length })
    this.#wake?.()
  }

  /** Nothing more comes. */
  end(error: Error | undefined): void {
    this.#end = { error }
    this.#wake?.()
  }

  /** Gives everything back. */
  drop(): void {
    this.#release()
    for (const { buffer } of this.#waiting.splice(0)) this.#giveBack(buffer)
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#release()
    while (this.#waiting.length === 0) {
      if (this.#end?.error !== undefined) throw this.#end.error
      if (this.#end !== undefined) return { done: true, value: undefined }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const { buffer, length } = this.#waiting.shift()!
    this.#lent = buffer
    return { done: false, value: new Uint8Array(buffer, 0, length) }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #release(): void {
    const lent = this.#lent
    this.#lent = undefined
    if (lent !== undefined) this.#giveBack(lent)
  }
}
