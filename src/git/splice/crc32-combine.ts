/**
 * CRC-32 of two stretches one after the other, from their CRCs.
 *
 * Appending n zero bytes to a stretch multiplies its CRC, as a polynomial over GF(2), by x^(8n) modulo the CRC's
 * polynomial. That is linear, so multiplying by x^(8·2^k) is four table lookups, and any n is a product of such
 * powers: a combination costs four lookups for every 1 bit of the length. The tables (4 KiB for each k) are made when first
 * needed.
 */

/** The polynomial of CRC-32, lowest bit first. */
const POLYNOMIAL = 0xedb88320
const LENGTH_BITS = 53
const TABLE_SIZE = 4 * 256

const tables: (Int32Array | undefined)[] = new Array<Int32Array | undefined>(LENGTH_BITS)

/** Product of two polynomials modulo the CRC's; bit 31 is the coefficient of 1. */
function multiply(a: number, b: number): number {
  let product = 0
  let factor = b
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= factor
    factor = factor & 1 ? (factor >>> 1) ^ POLYNOMIAL : factor >>> 1
  }
  return product
}

/** x^(8·2^k), that is x squared k + 3 times. */
function power(k: number): number {
  let result = 1 << 30
  for (let i = 0; i < k + 3; i++) result = multiply(result, result)
  return result
}

/** For each byte of a CRC and each value of it: that, multiplied by x^(8·2^k). */
function tableFor(k: number): Int32Array {
  const made = tables[k]
  if (made !== undefined) return made
  const factor = power(k)
  const table = new Int32Array(TABLE_SIZE)
  for (let byte = 0; byte < 4; byte++) {
    for (let value = 1; value < 256; value++) {
      const low = value & -value
      const rest = table[byte * 256 + value - low]!
      table[byte * 256 + value] =
        value === low ? multiply(low << (byte * 8), factor) : table[byte * 256 + low]! ^ rest
    }
  }
  tables[k] = table
  return table
}

/**
 * @param first CRC-32 of the first stretch
 * @param second CRC-32 of the second stretch
 * @param secondLength length of the second stretch in bytes, up to 2^53 - 1
 * @returns CRC-32 of both, unsigned
 */
export function crc32Combine(first: number, second: number, secondLength: number): number {
  let crc = first | 0
  let low = secondLength >>> 0
  for (let k = 0; low !== 0; k++, low >>>= 1) if (low & 1) crc = apply(crc, k)
  let high = Math.floor(secondLength / 0x1_0000_0000)
  for (let k = 32; high !== 0; k++, high >>>= 1) if (high & 1) crc = apply(crc, k)
  return (crc ^ second) >>> 0
}

function apply(crc: number, k: number): number {
  const table = tables[k] ?? tableFor(k)
  return (
    table[crc & 255]! ^
    table[256 + ((crc >>> 8) & 255)]! ^
    table[512 + ((crc >>> 16) & 255)]! ^
    table[768 + (crc >>> 24)]!
  )
}
