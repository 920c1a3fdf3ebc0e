import type { ChildProcessByStdio } from 'node:child_process'
import type { EventEmitter } from 'node:events'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'

export type PipedChild = ChildProcessByStdio<Writable, Readable, Readable>

/** Milliseconds until a program that was asked to end is killed. */
const KILL_AFTER = 2000

/** Milliseconds that the last words of a program that has ended are waited for: something else may hold the pipe open. */
const LAST_WORDS = 500

/** Bytes of a program's standard error that are kept, the last ones. */
export const STDERR_TAIL = 8 * 1024

/** Characters that a terminal or a log line could be misled with; the line feed stays. */
const CONTROL_CHARACTERS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/g

/**
 * The pipes of a program as one stream of bytes, which ends when the program has ended well and fails when it has not.
 * Destroying the stream ends the program with all that it started, and `close` comes after its end.
 */
export class ProcessStream extends Duplex {
  /** Exit status once the program has ended; `null` when a signal ended it. */
  readonly exited: Promise<number | null>
  readonly #child: PipedChild
  readonly #failure: (status: number | null) => Error
  #tail = Buffer.alloc(0)

  /**
   * @param child a running program, made with `detached`, so that it leads a process group of its own
   * @param failure the error for an exit status; for 0 when the program has ended, or read no more, while it was written to
   */
  constructor(child: PipedChild, failure: (status: number | null) => Error) {
    super({ allowHalfOpen: true })
    this.#child = child
    this.#failure = failure
    child.stderr.on('data', (chunk: Buffer) => {
      this.#tail = Buffer.from(Buffer.concat([this.#tail, chunk]).subarray(-STDERR_TAIL))
    })
    this.exited = this.#watch()
    child.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause()
    })
    child.stdout.pause()
    // What breaks a pipe shows in the exit status, and to who writes in `_write`.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.on('error', () => {})
    void Promise.all([this.exited, happens(child.stdout, 'close')]).then(([status]) => {
      if (status === 0) this.push(null)
      else this.destroy(failure(status))
    })
  }

  /** The end of what the program wrote to its standard error, without control characters but line feeds. */
  stderr(): string {
    return this.#tail.toString().replace(CONTROL_CHARACTERS, '').trim()
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#child.stdin.write(chunk, (error) => void this.#settle(error, done))
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#child.stdin.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#child.stdin.destroy()
    this.#child.stdout.destroy()
    void this.#end().then(() => done(error))
  }

  /** A pipe that broke is a consequence: the program's own end tells more, and follows at once. */
  async #settle(error: Error | null | undefined, done: (error?: Error | null) => void): Promise<void> {
    if (!error) return done()
    const status = await Promise.race([this.exited, delay(KILL_AFTER, undefined, { ref: false })])
    done(this.#failure(status ?? null))
  }

  async #watch(): Promise<number | null> {
    const child = this.#child
    const heard = happens(child.stderr, 'close')
    const status = (await happens(child, 'exit')) as number | null
    // Programs that it left behind (a shared connection of SSH) may keep its standard error.
    await Promise.race([heard, delay(LAST_WORDS, undefined, { ref: false })])
    child.stderr.destroy()
    return status
  }

  async #end(): Promise<void> {
    this.#kill('SIGTERM')
    const timer = setTimeout(() => this.#kill('SIGKILL'), KILL_AFTER)
    await this.exited
    clearTimeout(timer)
  }

  #kill(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child
    if (pid === undefined || exitCode !== null || signalCode !== null) return
    try {
      process.kill(-pid, signal)
    } catch {
      // It has ended meanwhile.
    }
  }
}

/** First argument of the next event of that name. Unlike `once` of Node it does not fail with an `error` event. */
function happens(emitter: EventEmitter, name: string): Promise<unknown> {
  return new Promise((resolve) => emitter.once(name, resolve))
}
