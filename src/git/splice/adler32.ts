const MODULUS = 65521
/** Bytes whose sums stay within 31 bits, in which they are quickest (zlib's NMAX is for 32). */
const STRETCH = 3800

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
      a = (a + data[i]!) | 0
      b = (b + a) | 0
    }
    a %= MODULUS
    b %= MODULUS
  }
  return ((b << 16) | a) >>> 0
}

/** Whether some bytes can have this Adler-32: `adler32Combine` takes others for ones that some have. */
export function isAdler32(value: number): boolean {
  return (value & 0xffff) < MODULUS && value >>> 16 < MODULUS
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
