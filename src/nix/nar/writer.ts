import { ownCopy } from '../../util/own-copy.ts'
import { release } from '../../util/release.ts'
import { framing, MAGIC, paddedFramings, paddingOf } from './tokens.ts'

export { paddingOf } from './tokens.ts'

const START = framing(0, MAGIC).bytes
const DIRECTORY = framing(0, '(', 'type', 'directory').bytes
const REGULAR = framing(0, '(', 'type', 'regular', 'contents').bytes
const EXECUTABLE = framing(0, '(', 'type', 'regular', 'executable', '', 'contents').bytes
const SYMLINK = framing(0, '(', 'type', 'symlink', 'target').bytes
const ENTRY = framing(0, 'entry', '(', 'name').bytes
const CLOSE = framing(0, ')').bytes
const NODE_AFTER = paddedFramings('node').map((one) => one.bytes)
const CLOSE_AFTER = paddedFramings(')').map((one) => one.bytes)

const INITIAL_CAPACITY = 1024
const TWO_POW_32 = 2 ** 32

/**
 * Collects the framing of a NAR for someone who writes the file contents himself, between `fileOpen` and `fileClose`:
 *
 *     start node
 *     node = fileOpen <size bytes> fileClose | symlink | directoryOpen (entryOpen node entryClose)* directoryClose
 *
 * The caller sees to this order, to ascending byte order of names and to names and targets that a NAR may hold; nothing
 * is checked here.
 */
export class NarFramer {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_CAPACITY)
  #length = 0

  /** Number of bytes collected since the last `take`. */
  get length(): number {
    return this.#length
  }

  /** Begins the NAR. */
  start(): void {
    this.#append(START)
  }

  directoryOpen(): void {
    this.#append(DIRECTORY)
  }

  /** Begins the entry of that name; its node follows, then `entryClose`. */
  entryOpen(name: Uint8Array): void {
    this.#append(ENTRY)
    this.#string(name)
    this.#append(NODE_AFTER[paddingOf(name.length)]!)
  }

  entryClose(): void {
    this.#append(CLOSE)
  }

  directoryClose(): void {
    this.#append(CLOSE)
  }

  /** Begins a regular file; exactly `size` bytes of contents follow, then `fileClose`. */
  fileOpen(executable: boolean, size: number): void {
    this.#append(executable ? EXECUTABLE : REGULAR)
    this.#number(size)
  }

  /** Ends a regular file of that size: padding and closing token. */
  fileClose(size: number): void {
    this.#append(CLOSE_AFTER[paddingOf(size)]!)
  }

  symlink(target: Uint8Array): void {
    this.symlinkOpen(target.length)
    this.#append(target)
    this.symlinkClose(target.length)
  }

  /** Begins a symbolic link for who writes the target himself: exactly `size` bytes follow, then `symlinkClose`. */
  symlinkOpen(size: number): void {
    this.#append(SYMLINK)
    this.#number(size)
  }

  /** Ends a symbolic link with a target of that size: padding and closing token. */
  symlinkClose(size: number): void {
    this.#append(CLOSE_AFTER[paddingOf(size)]!)
  }

  /** Hands out what has been collected since the last time, as a buffer of its own. */
  take(): Buffer {
    const taken = Buffer.from(this.#buffer.subarray(0, this.#length))
    this.#length = 0
    return taken
  }

  /** The same in memory that nothing else lies in, for who keeps it. Nothing can be collected after this. */
  takeOwn(): Buffer {
    const taken = ownCopy([this.#buffer.subarray(0, this.#length)])
    this.#length = 0
    release(this.#buffer)
    return taken
  }

  /** The string's length and bytes, without its padding. */
  #string(bytes: Uint8Array): void {
    this.#number(bytes.length)
    this.#append(bytes)
  }

  #number(value: number): void {
    this.#reserve(8)
    const low = value % TWO_POW_32
    this.#buffer.writeUInt32LE(low, this.#length)
    this.#buffer.writeUInt32LE((value - low) / TWO_POW_32, this.#length + 4)
    this.#length += 8
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    larger.set(this.#buffer.subarray(0, this.#length))
    release(this.#buffer)
    this.#buffer = larger
  }
}
