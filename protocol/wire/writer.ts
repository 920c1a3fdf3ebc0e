/** Varints of one byte, which are most of them. */
const SHORT: readonly Uint8Array[] = Array.from({ length: 0x80 }, (_, value) => Uint8Array.of(value))

/** Collects the parts of one message in protobuf's wire format. */
export class Writer {
  readonly #parts: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @param value an integer from 0 to 2^53 - 1 */
  varint(value: number): void {
    this.raw(encodeVarint(value))
  }

  tag(number: number, wireType: number): void {
    this.varint(number * 8 + wireType)
  }

  /** The bytes with their length before them. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes)
    this.#length += bytes.length
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    return whole
  }
}

/** The shortest varint of an integer from 0 to 2^53 - 1. */
export function encodeVarint(value: number): Uint8Array {
  if (value < 0x80) return SHORT[value]!
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 128) | 0x80)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}
