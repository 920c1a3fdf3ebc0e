import { crc32 } from 'node:zlib'
import { createSmallInflater, type SmallInflater } from '../small-inflate.ts'

let inflater: SmallInflater | undefined

/**
 * Inflates a whole raw deflate stream at once.
 *
 * @param target memory for the content, more than `size` bytes
 * @param size bytes that must come out
 * @returns CRC-32 of the content, or what is wrong with the stream
 */
export function inflatePart(deflated: Uint8Array, target: Uint8Array, size: number): number | string {
  inflater ??= createSmallInflater('raw')
  try {
    // Room for a byte more tells a longer stream from one that is right.
    const { produced } = inflater.inflate(deflated, target.subarray(0, size + 1))
    if (produced !== size) return `they inflate to ${produced} bytes instead of ${size}`
  } catch (error) {
    return (error as Error).message
  }
  return crc32(target.subarray(0, size))
}
