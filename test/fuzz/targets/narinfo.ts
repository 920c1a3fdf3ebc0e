/** Narinfos: what is accepted says the same after being written out and read again. */
import assert from 'node:assert/strict'
import { formatNarInfo, formatStoredNarInfo, parseNarInfo } from '../../../src/nix/narinfo.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const HASH = 'sha256:1b2m2y8asgtpgamy7phcfcpk4k3vm5mw0a0mrgq4qm8mhrbm9a3l'
const HELLO = `${'0123456789abcdfghijklmnpqrsvwxyz'}-hello-1.0`
const GLIBC = `${'zyxwvsrqpnmlkjihgfdcba9876543210'}-glibc-2.40`
const SIGNATURE = `cache.example.org-1:${Buffer.alloc(64, 7).toString('base64')}`

export const target: FuzzTarget = {
  name: 'narinfo',
  tokens: [
    ...[
      'StorePath: ',
      'URL: ',
      'Compression: ',
      'FileHash: ',
      'FileSize: ',
      'NarHash: ',
      'NarSize: ',
      'References: ',
    ],
    ...[
      'Deriver: ',
      'Sig: ',
      'CA: ',
      '\n',
      '\r\n',
      ' ',
      '/nix/store/',
      'sha256:',
      'sha256-',
      'unknown-deriver',
    ],
    ...[
      'fixed:r:sha256:',
      'text:sha256:',
      '18446744073709551615',
      '9007199254740993',
      '-1',
      HELLO,
      GLIBC,
      SIGNATURE,
    ],
  ],

  seeds: () =>
    [
      `StorePath: /nix/store/${HELLO}\nURL: nar/x.nar.xz\nCompression: xz\nFileHash: ${HASH}\nFileSize: 100\n` +
        `NarHash: ${HASH}\nNarSize: 120\nReferences: ${HELLO} ${GLIBC}\nDeriver: ${HELLO}.drv\nSig: ${SIGNATURE}\n`,
      `StorePath: /nix/store/${HELLO}\nURL: x\nNarHash: ${HASH}\nNarSize: 1\nReferences: \nCA: fixed:r:${HASH}\n`,
      `StorePath: /nix/store/${HELLO}\nURL: nar/0.nar\nCompression: none\nFileHash: ${HASH}\nFileSize: 120\n` +
        `NarHash: ${HASH}\nNarSize: 120\nReferences: /nix/store/${GLIBC}\nDeriver: \nSig: \n`,
    ].map((text) => Buffer.from(text)),

  run(data) {
    const text = data.toString()
    const refused = read(text, false) ?? read(text, true)
    if (refused !== undefined) throw refused
  },
}

/** Reads a text and holds what it says to what its own forms say. */
function read(text: string, lenient: boolean): GachixError | undefined {
  let info: ReturnType<typeof parseNarInfo>
  try {
    info = parseNarInfo(text, { lenient })
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
  const written = formatNarInfo(info)
  const again = parseNarInfo(written)
  assert.deepEqual(again, info)
  assert.equal(formatNarInfo(again), written)

  const stored = parseNarInfo(formatStoredNarInfo(info, 'nar/x.nar'), { lenient: true })
  assert.deepEqual(stored.references, info.references)
  assert.deepEqual(stored.narHash, info.narHash)
  assert.deepEqual(stored.signatures, info.signatures)
  assert.equal(stored.narSize, info.narSize)
  return undefined
}
