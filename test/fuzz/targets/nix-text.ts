/** The small text forms of Nix: store paths, hashes, content addresses, keys and signatures. */
import assert from 'node:assert/strict'
import { nix32Decode, nix32Encode } from '../../../src/nix/base32.ts'
import { formatContentAddress, parseContentAddress } from '../../../src/nix/content-address.ts'
import { formatHash, parseHash } from '../../../src/nix/hash.ts'
import { PublicKey, parseSignature, SecretKey } from '../../../src/nix/signature.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const SHA256 = '1b2m2y8asgtpgamy7phcfcpk4k3vm5mw0a0mrgq4qm8mhrbm9a3l'
const KEY = Buffer.alloc(32, 9).toString('base64')

export const target: FuzzTarget = {
  name: 'nix-text',
  maxLength: 600,
  tokens: [
    'sha256:',
    'sha256-',
    'md5:',
    'sha1:',
    'sha512-',
    'fixed:',
    'text:',
    'r:',
    'git:',
    '/nix/store/',
    '=',
    ':',
    '.drv',
    '..',
  ],

  seeds: () =>
    [
      `/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-1.0`,
      `0123456789abcdfghijklmnpqrsvwxyz-hello`,
      `sha256:${SHA256}`,
      `sha256-${Buffer.alloc(32, 1).toString('base64')}`,
      `sha1:${'ab'.repeat(20)}`,
      `fixed:r:sha256:${SHA256}`,
      `text:sha256:${SHA256}`,
      `cache.example.org-1:${KEY}`,
      `cache.example.org-1:${Buffer.alloc(64, 3).toString('base64')}`,
    ].map((text) => Buffer.from(text)),

  run(data) {
    const text = data.toString()
    attempt(() => assert.equal(StorePath.parse(text).toString(), text))
    attempt(() => assert.equal(StorePath.fromBaseName(text, '/nix/store').baseName, text))
    attempt(() => assert.equal(nix32Encode(nix32Decode(text)), text))
    attempt(() => {
      const hash = parseHash(text)
      for (const form of ['nix32', 'base16', 'base64', 'sri'] as const) {
        assert.deepEqual(parseHash(formatHash(hash, form)), hash)
      }
    })
    attempt(() => {
      const address = parseContentAddress(text)
      assert.deepEqual(parseContentAddress(formatContentAddress(address)), address)
    })
    attempt(() => parseSignature(text))
    attempt(() => PublicKey.parse(text))
    attempt(() => SecretKey.parse(text))
  },
}

function attempt(action: () => void): void {
  try {
    action()
  } catch (error) {
    if (!(error instanceof GachixError)) throw error
  }
}
