/** What HTTP clients write: request targets and headers. */
import assert from 'node:assert/strict'
import { acceptsGzip, matchesEtag, rangeHolds } from '../../../src/http/negotiate.ts'
import { parseRange } from '../../../src/http/range.ts'
import { parseRequestPath } from '../../../src/http/request-path.ts'
import type { FuzzTarget } from '../target.ts'

const SIZES = [0, 1, 1000, 2 ** 53 - 1]

export const target: FuzzTarget = {
  name: 'http-text',
  maxLength: 8192,
  tokens: [
    ...[
      'bytes=',
      '-',
      ',',
      '0',
      '18446744073709551616',
      ' ',
      '\t',
      '%2f',
      '%2e%2e',
      '%',
      '%ff',
      '/',
      '//',
      '?',
      '#',
      '..',
    ],
    ...['http://', 'gzip', ';q=0', ';q=1.000', '*', 'W/', '"', '"tag"'],
  ],

  seeds: () =>
    [
      'bytes=0-99',
      'bytes=-5',
      'bytes=10-',
      '/nar/0123.nar.gz?x=y',
      '/0123456789abcdfghijklmnpqrsvwxyz.narinfo',
      'http://host:80/nix-cache-info',
      '/%6eix-cache-info',
      'deflate, gzip;q=0.5, *;q=0',
      'W/"tag", "other"',
    ].map((text) => Buffer.from(text)),

  run(data) {
    const text = data.toString('latin1')
    for (const size of SIZES) {
      const range = parseRange(text, size)
      if (typeof range === 'object')
        assert.ok(range.start >= 0 && range.start < range.end && range.end <= size)
    }
    const segments = parseRequestPath(text)
    assert.ok(segments === undefined || segments.length > 0)
    acceptsGzip(text)
    matchesEtag(text, '"tag"')
    rangeHolds(text, '"tag"')
  },
}
