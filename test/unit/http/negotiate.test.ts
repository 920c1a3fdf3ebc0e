import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { acceptsGzip, matchesEtag, rangeHolds } from '../../../src/http/negotiate.ts'

describe('acceptsGzip', () => {
  const yes = [
    'gzip',
    'GZip',
    'zstd, br, gzip, deflate, bzip2, xz',
    'deflate, gzip, br, zstd',
    'gzip;q=0.001',
    'br;q=1, gzip ; q = 0.5',
    'gzip;q=1.000',
  ]
  const no = [
    undefined,
    '',
    '*',
    'identity',
    'br',
    'gzip;q=0',
    'gzip;q=0.000',
    'gzip; Q=0',
    'gzip;q=-1',
    'gzip;q=2',
    'gzip;q=nonsense',
    'gzip;q=',
    'x-gzip',
    'gzipped',
    '*, gzip;q=0',
  ]
  for (const header of yes) test(`${header}: yes`, () => assert.equal(acceptsGzip(header), true))
  for (const header of no) test(`${header}: no`, () => assert.equal(acceptsGzip(header), false))
})

test('If-None-Match compares weakly, and * matches', () => {
  for (const header of ['"a"', ' "b", "a"', 'W/"a"', '*', '"b",W/"a"']) {
    assert.equal(matchesEtag(header, '"a"'), true, header)
  }
  for (const header of [undefined, '', '"b"', 'a', '"a', '"A"']) {
    assert.equal(matchesEtag(header, '"a"'), false, header)
  }
})

test('If-Range compares strongly; a weak tag or a date does not hold', () => {
  assert.equal(rangeHolds(undefined, '"a"'), true)
  assert.equal(rangeHolds('"a"', '"a"'), true)
  for (const header of ['W/"a"', '"b"', '', 'Wed, 21 Oct 2015 07:28:00 GMT']) {
    assert.equal(rangeHolds(header, '"a"'), false, header)
  }
})
