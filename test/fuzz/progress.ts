import { readFileSync, writeSync } from 'node:fs'

const HEADER_BYTES = 16

/**
 * What the fuzzing process is doing, in a file that its supervisor can read although the process hangs or is dead: the number of
 * the run and its input.
 */
export class Progress {
  readonly #fd: number
  readonly #header = Buffer.alloc(HEADER_BYTES)

  constructor(fd: number) {
    this.#fd = fd
  }

  begin(run: number, input: Buffer): void {
    this.#header.writeDoubleBE(run, 0)
    this.#header.writeDoubleBE(input.length, 8)
    writeSync(this.#fd, Buffer.concat([this.#header, input]), 0, HEADER_BYTES + input.length, 0)
  }
}

/** The run under way; run 0 before the first. */
export function readProgress(path: string): { run: number; input: Buffer } {
  const bytes = readFileSync(path)
  if (bytes.length < HEADER_BYTES) return { run: 0, input: Buffer.alloc(0) }
  const input = bytes.subarray(HEADER_BYTES, HEADER_BYTES + bytes.readDoubleBE(8))
  return { run: bytes.readDoubleBE(0), input }
}
