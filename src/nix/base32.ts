import { Nix32FormatError } from './errors.ts'
import { quote } from './quote.ts'

/** The digits of nix32 in order of their value; `e`, `o`, `t` and `u` are left out. */
export const NIX32_ALPHABET = '0123456789abcdfghijklmnpqrsvwxyz'

const NO_DIGIT = 0xff
const DIGIT_OF_CODE = new Uint8Array(128).fill(NO_DIGIT)
for (let value = 0; value < NIX32_ALPHABET.length; value++)
  DIGIT_OF_CODE[NIX32_ALPHABET.charCodeAt(value)] = value

/** Number of nix32 digits for so many bytes. */
export function nix32Length(byteCount: number): number {
  return Math.ceil((byteCount * 8) / 5)
}

/** Bytes as nix32: the bytes read as one little-endian number, its most significant 5-bit digit first. */
export function nix32Encode(bytes: Uint8Array): string {
  let text = ''
  for (let digit = nix32Length(bytes.length) - 1; digit >= 0; digit--) {
    const bit = digit * 5
    const index = bit >> 3
    const pair = bytes[index]! | ((bytes[index + 1] ?? 0) << 8)
    text += NIX32_ALPHABET[(pair >> (bit & 7)) & 31]
  }
  return text
}

/**
 * The bytes of nix32 text. Strict: exactly one text for any bytes, so a character outside of the alphabet (upper case
 * too), a length that no number of bytes has and set bits beyond the last byte are refused.
 *
 * @throws Nix32FormatError
 */
export function nix32Decode(text: string): Buffer {
  const size = Math.floor((text.length * 5) / 8)
  if (nix32Length(size) !== text.length) {
    throw new Nix32FormatError(`${quote(text)} is not nix32: no number of bytes has ${text.length} digits`)
  }
  const bytes = Buffer.alloc(size)
  for (let digit = 0; digit < text.length; digit++) {
    const code = text.charCodeAt(text.length - 1 - digit)
    const value = code < 128 ? DIGIT_OF_CODE[code]! : NO_DIGIT
    if (value === NO_DIGIT) {
      throw new Nix32FormatError(
        `${quote(text)} is not nix32: it holds characters other than ${NIX32_ALPHABET}`,
      )
    }
    const bit = digit * 5
    const index = bit >> 3
    const shifted = value << (bit & 7)
    bytes[index] = bytes[index]! | (shifted & 0xff)
    if (shifted > 0xff) {
      if (index + 1 === size) throw new Nix32FormatError(`${quote(text)} is not nix32: spare bits are set`)
      bytes[index + 1] = shifted >> 8
    }
  }
  return bytes
}
