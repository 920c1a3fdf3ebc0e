/** Inflating one large entry in pieces. */
import { createInflate, type Inflate } from 'node:zlib'
import { createDecoder, type Decoder } from '../decoder.ts'
import { STREAM_CHUNK_SIZE } from '../inflate.ts'
import { isNonce, PROBE_LENGTH, writeProbe } from './receive-canonical.ts'
import { damaged, wrongLength } from './receive-errors.ts'

/** A zlib stream that is inflated as it comes; never by more than a piece beyond the declared size. */
export interface LargeInflater {
  /** Bytes of content so far. */
  readonly produced: number
  /** Whether the stream has ended, and its checksum is right. */
  readonly done: boolean
  /**
   * Gives it the next bytes; tells how many of them belong to the stream.
   *
   * @throws PackInvalidError when it is damaged, or longer than declared
   */
  push(bytes: Buffer): number | Promise<number>
  /** No more comes: tells whether the stream has ended. */
  finish(): boolean | Promise<boolean>
  /**
   * Whether the decoder is between two blocks, at a byte boundary, and the content so far has this Adler-32. It is of no use
   * afterwards.
   */
  endsHere(adler: number): boolean | Promise<boolean>
  close(): void
}

/** Decoders that are free, of this thread. A receiver has one at a time, so there are as many as receive at once. */
const free: DecoderMemory[] = []

interface DecoderMemory {
  readonly decoder: Decoder
  readonly target: Buffer
}

/**
 * @param size of the content, as declared
 * @param content told of every piece, which is valid during the call
 */
export function createLargeInflater(size: number, content: (bytes: Buffer) => void): LargeInflater {
  const memory = free.pop() ?? newMemory()
  return memory === undefined ? new StreamInflater(size, content) : new DecoderInflater(memory, size, content)
}

function newMemory(): DecoderMemory | undefined {
  const decoder = createDecoder()
  return decoder && { decoder, target: Buffer.allocUnsafeSlow(STREAM_CHUNK_SIZE) }
}

/** With one decoder for all, at once. */
class DecoderInflater implements LargeInflater {
  readonly #memory: DecoderMemory
  readonly #size: number
  readonly #content: (bytes: Buffer) => void
  produced = 0
  done = false

  constructor(memory: DecoderMemory, size: number, content: (bytes: Buffer) => void) {
    this.#memory = memory
    this.#size = size
    this.#content = content
    memory.decoder.reset()
  }

  push(bytes: Buffer): number {
    const { decoder, target } = this.#memory
    let at = 0
    for (let full = true; full; ) {
      const { produced, used } = this.#understand(() => decoder.step(bytes.subarray(at), target, false))
      at += used
      this.produced += produced
      if (this.produced > this.#size) throw wrongLength(this.#size)
      if (produced > 0) this.#content(target.subarray(0, produced))
      full = produced === target.length
    }
    if (at < bytes.length) this.done = true
    return at
  }

  finish(): boolean {
    const { decoder, target } = this.#memory
    try {
      return decoder.step(target.subarray(0, 0), target, true).produced === 0
    } catch {
      return false
    }
  }

  endsHere(adler: number): boolean {
    const { decoder, target } = this.#memory
    const probe = Buffer.alloc(PROBE_LENGTH)
    if (!writeProbe(probe, 0, adler)) return false
    try {
      const { produced, used } = decoder.step(probe, target, true)
      return used === probe.length && isNonce(target.subarray(0, produced))
    } catch {
      return false
    }
  }

  close(): void {
    free.push(this.#memory)
  }

  #understand<T>(step: () => T): T {
    try {
      return step()
    } catch (error) {
      throw damaged(error)
    }
  }
}

/** As documented: off this thread, slower, and with new memory for every piece. */
export class StreamInflater implements LargeInflater {
  readonly #stream: Inflate = createInflate({ chunkSize: STREAM_CHUNK_SIZE })
  readonly #size: number
  readonly #content: (bytes: Buffer) => void
  #probed: Buffer[] | undefined
  #error: unknown
  #ended = false
  #wake: (() => void) | undefined
  produced = 0
  done = false

  constructor(size: number, content: (bytes: Buffer) => void) {
    this.#size = size
    this.#content = content
    this.#stream.on('data', (chunk: Buffer) => this.#take(chunk))
    this.#stream.on('error', (error) => this.#fail(damaged(error)))
    this.#stream.on('end', () => {
      this.#ended = true
      this.#wake?.()
    })
  }

  async push(bytes: Buffer): Promise<number> {
    const before = this.#stream.bytesWritten
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#stream.write(bytes, () => resolve())
    })
    if (this.#error !== undefined) throw this.#error
    const used = this.#stream.bytesWritten - before
    if (used < bytes.length) this.done = true
    return used
  }

  async finish(): Promise<boolean> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#stream.end()
    })
    return this.#ended
  }

  async endsHere(adler: number): Promise<boolean> {
    const probe = Buffer.alloc(PROBE_LENGTH)
    if (!writeProbe(probe, 0, adler)) return false
    this.#probed = []
    try {
      const used = await this.push(probe)
      return used === probe.length && (await this.finish()) && isNonce(Buffer.concat(this.#probed))
    } catch {
      return false
    }
  }

  close(): void {
    this.#stream.destroy()
  }

  #take(chunk: Buffer): void {
    if (this.#probed !== undefined) {
      this.#probed.push(chunk)
      return
    }
    this.produced += chunk.length
    if (this.produced > this.#size) {
      this.#fail(wrongLength(this.#size))
      this.#stream.destroy()
      return
    }
    this.#content(chunk)
  }

  #fail(error: unknown): void {
    this.#error ??= error
    this.#wake?.()
  }
}
