const MODULUS = 65521
/** Most bytes whose sums stay within 32 bits unsigned (zlib's NMAX). */
const STRETCH = 5552

/**
 * Adler-32 (RFC 1950, 8.2).
 *
 * @param start checksum of what precedes `data`
 * @returns unsigned
 */
export function adler32(data: Uint8Array, start = 1): number {
  let a = start & 0xffff
  let b = start >>> 16
  for (let from = 0; from < data.length; from += STRETCH) {
    const to = Math.min(from + STRETCH, data.length)
    for (let i = from; i < to; i++) {
      a += data[i]!
      b += a
    }
    a %= MODULUS
    b %= MODULUS
  }
  return ((b << 16) | a) >>> 0
}

/** Adler-32 of two stretches one after the other, from theirs and the length of the second in bytes (up to 2^53 - 1). */
export function adler32Combine(first: number, second: number, secondLength: number): number {
  const a1 = first & 0xffff
  const a2 = second & 0xffff
  const a = (a1 + a2 + MODULUS - 1) % MODULUS
  const b =
    ((first >>> 16) + (second >>> 16) + (secondLength % MODULUS) * ((a1 + MODULUS - 1) % MODULUS)) % MODULUS
  return ((b << 16) | a) >>> 0
}
