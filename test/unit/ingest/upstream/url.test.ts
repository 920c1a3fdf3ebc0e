import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseUpstreamUrl } from '../../../../src/ingest/upstream/url.ts'

describe('the URL of a binary cache', () => {
  it('is taken apart', () => {
    assert.deepEqual(parseUpstreamUrl('https://cache.nixos.org'), {
      kind: 'http',
      base: new URL('https://cache.nixos.org/'),
    })
    assert.deepEqual(parseUpstreamUrl('http://me:p%3Aw@h:81/a/b'), {
      kind: 'http',
      base: new URL('http://h:81/a/b/'),
      authorization: `Basic ${Buffer.from('me:p:w').toString('base64')}`,
    })
    assert.deepEqual(parseUpstreamUrl('file:///srv/my%20cache/'), { kind: 'file', folder: '/srv/my cache/' })
  })

  const wrong = [
    '',
    'cache.nixos.org',
    'https://',
    'https://h?priority=1',
    'https://h#x',
    'https://h/a b',
    'https://%zz@h',
    'ftp://h',
    's3://bucket',
    'file://host/x',
    'file:///a%2fb',
    'https://h\n',
  ]
  for (const url of wrong) {
    it(`is refused: ${JSON.stringify(url)}`, () => {
      assert.throws(() => parseUpstreamUrl(url), { code: 'ERR_UPSTREAM_URL' })
    })
  }

  it('is not repeated in messages, which would show the password', () => {
    assert.throws(
      () => parseUpstreamUrl('ftp://me:secret@h'),
      (error: Error) => !error.message.includes('secret'),
    )
  })
})
