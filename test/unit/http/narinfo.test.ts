import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NarInfoRenderer, servedNarInfo } from '../../../src/http/narinfo.ts'
import { formatHash } from '../../../src/nix/hash.ts'
import { formatNarInfo, parseNarInfo } from '../../../src/nix/narinfo.ts'
import { SecretKey, verify } from '../../../src/nix/signature.ts'
import { MemoryStore } from '../../support/memory-store.ts'

const key = new SecretKey('node-1', new Uint8Array(32).fill(1))
const other = new SecretKey('builder-1', new Uint8Array(32).fill(2))
const FOREIGN = `builder-1:${Buffer.alloc(64, 5).toString('base64')}`

async function rendered(
  store: MemoryStore,
  hash: string,
  keys: readonly SecretKey[] = [key],
): Promise<string> {
  const made = await new NarInfoRenderer({ store, keys }).render(hash, {})
  return made!.body.toString()
}

describe('a served narinfo', () => {
  test('offers the gzip NAR, with all fields', async () => {
    const store = new MemoryStore()
    const { hash, tree, nar, gzip } = store.put('a', { references: ['a', 'b'], signatures: [FOREIGN] })
    const text = await rendered(store, hash)
    const info = parseNarInfo(text)
    const { id, sha256 } = (await store.package(hash))!.gzip!
    assert.equal(info.url, `nar/${tree}.${id}.nar.gz`)
    assert.equal(info.compression, 'gzip')
    assert.deepEqual([info.fileSize, info.narSize], [gzip!.length, nar.length])
    assert.equal(
      formatHash(info.fileHash!, 'nix32'),
      formatHash({ algorithm: 'sha256', digest: sha256 }, 'nix32'),
    )
    assert.equal(info.references.length, 2)
    assert.equal(info.signatures[0], FOREIGN, 'signatures that came stay first')
    assert.deepEqual(verify([key.publicKey], info), ['node-1'])
    assert.deepEqual(
      text.split('\n').map((line) => line.split(':')[0]),
      [
        'StorePath',
        'URL',
        'Compression',
        'FileHash',
        'FileSize',
        'NarHash',
        'NarSize',
        'References',
        'Sig',
        'Sig',
        '',
      ],
    )
  })

  test('offers the plain NAR until the gzip form is known', async () => {
    const store = new MemoryStore()
    const { hash, tree, nar } = store.put('a', { gzip: false })
    const info = parseNarInfo(await rendered(store, hash))
    assert.equal(info.url, `nar/${tree}.nar`)
    assert.equal(info.compression, 'none')
    assert.equal(info.fileSize, nar.length)
    assert.deepEqual(info.fileHash, info.narHash)
  })

  test('has an empty References line and no other empty field', async () => {
    const store = new MemoryStore()
    const text = await rendered(store, store.put('a').hash, [])
    assert.match(text, /\nReferences: \n/)
    assert.doesNotMatch(text.replace('References: ', ''), /: ?\n/)
    assert.doesNotMatch(text, /Deriver|Sig|CA/)
  })

  test('leaves out what is no signature and does not repeat its own', async () => {
    const store = new MemoryStore()
    const { hash } = store.put('a')
    const own = parseNarInfo(await rendered(store, hash)).signatures[0]!
    store.put('a', { signatures: ['no colon', 'name:!!', own, 'name:AAAA', ''] })
    assert.deepEqual(parseNarInfo(await rendered(store, hash)).signatures, [own])
  })

  test('is signed by every key', async () => {
    const store = new MemoryStore()
    const info = parseNarInfo(await rendered(store, store.put('a').hash, [key, other]))
    assert.deepEqual(verify([key.publicKey, other.publicKey], info), ['node-1', 'builder-1'])
  })

  test('holds the content address', async () => {
    const store = new MemoryStore()
    const ca = 'fixed:r:sha256:10vk3rc72m9627zkd8jg812xa4fjg36ql81v5k3spzb9ggv5yizj'
    const stored = await store.package(store.put('a', { ca }).hash)
    assert.match(formatNarInfo(servedNarInfo(stored!, [])), /\nCA: fixed:r:sha256:10vk3rc/)
  })
})

describe('the renderer', () => {
  test('keeps what it made, until the package is gone', async () => {
    const store = new MemoryStore()
    const { hash } = store.put('a')
    const renderer = new NarInfoRenderer({ store, keys: [key] })
    assert.equal(renderer.cached(hash), undefined)
    const made = await renderer.render(hash, {})
    assert.equal(renderer.cached(hash), made)
    store.remove(hash)
    assert.equal(renderer.cached(hash), undefined)
    assert.equal(await renderer.render(hash, {}), undefined)
  })

  test('soon sees that a package has got its gzip form', async () => {
    const store = new MemoryStore()
    const { hash } = store.put('a', { gzip: false })
    let now = 0
    const renderer = new NarInfoRenderer({ store, keys: [key], now: () => now })
    const plain = await renderer.render(hash, {})
    store.put('a')
    assert.equal(renderer.cached(hash), plain)
    now = 2_000
    assert.equal(renderer.cached(hash), undefined)
    const gzip = await renderer.render(hash, {})
    assert.match(gzip!.body.toString(), /Compression: gzip/)
    assert.notEqual(gzip!.etag, plain!.etag)
    assert.equal(renderer.cached(hash), gzip)
  })

  test('has one strong etag for equal texts', async () => {
    const store = new MemoryStore()
    const { hash } = store.put('a')
    const [one, two] = [new NarInfoRenderer({ store, keys: [] }), new NarInfoRenderer({ store, keys: [] })]
    const etag = (await one.render(hash, {}))!.etag
    assert.match(etag, /^"[A-Za-z0-9_-]{43}"$/)
    assert.equal((await two.render(hash, {}))!.etag, etag)
  })
})
