import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { differences, sortRecords } from '../../../../src/peers/inventory/sort-records.ts'
import { hexItems } from '../../../support/hashes.ts'

const WIDTH = 4
const KEY_WIDTH = 3
/** Few different bytes, so that keys come twice and buckets have many records. */
const record = fc
  .uint8Array({ minLength: WIDTH, maxLength: WIDTH })
  .map((bytes) => Buffer.from(bytes.map((byte) => byte % 4)))
const records = fc.array(record, { maxLength: 300 })
const hexOf = (items: readonly Buffer[]): string[] =>
  [...new Set(items.map((item) => item.toString('hex')))].sort()

describe('records sorted at once', () => {
  it('are in order, the first of each key', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(records, { maxLength: 4 }), async (parts) => {
        const sorted = await sortRecords(
          parts.map((part) => Buffer.concat(part)),
          WIDTH,
          KEY_WIDTH,
        )
        const keys = new Set<string>()
        const expected = hexOf(parts.flat()).filter((hex) => {
          const key = hex.slice(0, 2 * KEY_WIDTH)
          return !keys.has(key) && keys.add(key)
        })
        assert.deepEqual(hexItems(sorted, WIDTH), expected)
      }),
    )
  })

  it('are many in turns', async () => {
    const bytes = Buffer.alloc(200_000 * WIDTH)
    for (let index = 0; index < 200_000; index++)
      bytes.writeUInt32BE((index * 2_654_435_761) % 2 ** 32, index * WIDTH)
    let others = 0
    const timer = setInterval(() => others++, 1)
    const sorted = await sortRecords([bytes], WIDTH, WIDTH)
    clearInterval(timer)
    assert.equal(sorted.length, bytes.length)
    for (let at = WIDTH; at < sorted.length; at += WIDTH)
      if (sorted.readUInt32BE(at) <= sorted.readUInt32BE(at - WIDTH)) assert.fail(`not in order at ${at}`)
    assert.ok(others > 2, `others had ${others} turns`)
  })

  it('differ by what only one list has', () => {
    fc.assert(
      fc.property(records, records, records, (both, first, second) => {
        const before = hexOf([...both, ...first])
        const after = hexOf([...both, ...second])
        const bytes = (items: readonly string[]): Buffer => Buffer.from(items.join(''), 'hex')
        const found = [...differences(bytes(before), bytes(after), WIDTH)].map(
          (difference) => `${difference.added ? '+' : '-'}${difference.record.toString('hex')}`,
        )
        const removed = before.filter((hex) => !after.includes(hex)).map((hex) => `-${hex}`)
        const added = after.filter((hex) => !before.includes(hex)).map((hex) => `+${hex}`)
        assert.deepEqual(found.toSorted(), [...removed, ...added].toSorted())
      }),
    )
  })
})
