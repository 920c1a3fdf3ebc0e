/**
 * The byte strings that NARs are framed with. Every token is a string: its length as an unsigned 64-bit little-endian
 * number, its bytes, and zero bytes up to the next multiple of 8.
 */

/** Longest name of a directory entry in bytes. */
export const MAX_ENTRY_NAME = 255

/** Longest symlink target in bytes. */
export const MAX_SYMLINK_TARGET = 4095

/** Depth of the deepest node, the root being at 0. */
export const MAX_DEPTH = 63

/** The first token of every NAR. */
export const MAGIC = 'nix-archive-1'

/** Number of zero bytes (0 to 7) that follow so many bytes of a string. */
export function paddingOf(size: number): number {
  return (8 - (size % 8)) % 8
}

/** Some padding, then tokens: what stands between two variable strings of a NAR. */
export interface Framing {
  readonly bytes: Buffer
  /** Zero bytes at the front, which belong to the string before. */
  readonly padding: number
  /** Text of the tokens, in order. */
  readonly texts: readonly string[]
}

/** Framing made of the given padding and tokens. */
export function framing(padding: number, ...texts: string[]): Framing {
  const parts: Buffer[] = [Buffer.alloc(padding)]
  for (const text of texts) {
    const token = Buffer.alloc(8 + text.length + paddingOf(text.length))
    token.writeUInt32LE(text.length)
    token.write(text, 8, 'latin1')
    parts.push(token)
  }
  return { bytes: Buffer.concat(parts), padding, texts }
}

/** The same tokens after each possible padding; indexed by the padding. */
export function paddedFramings(...texts: string[]): readonly Framing[] {
  return Array.from({ length: 8 }, (_, padding) => framing(padding, ...texts))
}

/** The token of the framing at an index of its bytes; `undefined` where padding is. */
export function tokenAt(expected: Framing, index: number): string | undefined {
  let end = expected.padding
  if (index < end) return undefined
  for (const text of expected.texts) {
    const padding = end + 8 + text.length
    end = padding + paddingOf(text.length)
    if (index < end) return index < padding ? text : undefined
  }
  return undefined
}
