import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { contentRange, parseRange } from '../../../src/http/range.ts'

describe('parseRange', () => {
  const cases: [string | undefined, number, ReturnType<typeof parseRange>][] = [
    [undefined, 10, 'whole'],
    ['bytes=0-0', 10, { start: 0, end: 1 }],
    ['bytes=2-5', 10, { start: 2, end: 6 }],
    ['bytes=2-', 10, { start: 2, end: 10 }],
    ['bytes=0-99999999999999999999', 10, { start: 0, end: 10 }],
    ['bytes=9-9', 10, { start: 9, end: 10 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-12', 10, 'unsatisfiable'],
    ['bytes=99999999999999999999-', 10, 'unsatisfiable'],
    ['bytes=-3', 10, { start: 7, end: 10 }],
    ['bytes=-30', 10, { start: 0, end: 10 }],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=-1', 0, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['BYTES=1-2', 10, { start: 1, end: 3 }],
    ['bytes= 1-2 ', 10, { start: 1, end: 3 }],
    ['bytes=5-2', 10, 'whole'],
    ['bytes=-', 10, 'whole'],
    ['bytes=', 10, 'whole'],
    ['bytes=1-2,4-5', 10, 'whole'],
    ['bytes=1-2,', 10, 'whole'],
    ['lines=1-2', 10, 'whole'],
    ['bytes=a-b', 10, 'whole'],
    ['bytes=1.5-2', 10, 'whole'],
    ['bytes=0x1-2', 10, 'whole'],
    ['bytes=--1', 10, 'whole'],
  ]
  for (const [header, size, expected] of cases) {
    test(`${header} of ${size}`, () => assert.deepEqual(parseRange(header, size), expected))
  }

  test('never leaves the body, whatever the header', () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
    )
    fc.assert(
      fc.property(header, fc.nat(), (text, size) => {
        const range = parseRange(text, size)
        if (typeof range === 'string') return
        assert.ok(range.start >= 0 && range.start < range.end && range.end <= size)
      }),
    )
  })
})

test('contentRange names first and last byte', () => {
  assert.equal(contentRange({ start: 2, end: 6 }, 10), 'bytes 2-5/10')
})
