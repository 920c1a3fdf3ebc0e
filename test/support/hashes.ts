import { hash } from 'node:crypto'

/** Hash part of a made-up package by number: 20 bytes, the same in every run. */
export function hashOf(number: number): Buffer {
  return hash('sha1', `package ${number}`, 'buffer')
}

/** Hash parts of `count` made-up packages from number `from` on, one after the other. */
export function hashesOf(from: number, count: number): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, index) => hashOf(from + index)))
}

/** The items of one width in a list, each in hexadecimal. */
export function hexItems(list: Uint8Array, width: number): string[] {
  const items: string[] = []
  for (let at = 0; at < list.length; at += width)
    items.push(Buffer.from(list.subarray(at, at + width)).toString('hex'))
  return items
}
