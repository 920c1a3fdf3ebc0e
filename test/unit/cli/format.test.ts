import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { columns, count, formatBytes, formatDuration } from '../../../src/cli/format.ts'

describe('formats for people', () => {
  it('bytes', () => {
    const cases: [number, string][] = [
      [0, '0 B'],
      [1023, '1023 B'],
      [1024, '1.0 KiB'],
      [1536, '1.5 KiB'],
      [1_048_575, '1.0 MiB'],
      [123 * 1024 * 1024, '123 MiB'],
      [5 * 1024 ** 4, '5.0 TiB'],
    ]
    for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text)
  })

  it('time spans', () => {
    const cases: [number, string][] = [
      [0.04, '0.0 s'],
      [59.9, '59.9 s'],
      [59.97, '1 min 0 s'],
      [75, '1 min 15 s'],
      [3600, '1 h 0 min'],
      [200_000, '2 d 7 h'],
    ]
    for (const [seconds, text] of cases) assert.equal(formatDuration(seconds), text)
  })

  it('counts', () => {
    assert.deepEqual(
      [0, 1, 2].map((number) => count(number, 'package')),
      ['0 packages', '1 package', '2 packages'],
    )
  })

  it('columns, a list below its first item', () => {
    assert.equal(
      columns([
        ['a', 'x'],
        ['long', ['y', 'z']],
      ]),
      'a     x\nlong  y\n      z',
    )
  })
})
