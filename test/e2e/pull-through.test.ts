/**
 * Pull-through: real clients fetch through a node what only an upstream cache has, which the real Nix made and the real
 * nginx serves. `pull-through-faults.test.ts` has the caches that misbehave.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { checkServed } from '../support/cache-client.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { hashPart } from '../support/narinfo.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { checkSubstitution, type Fetch } from '../support/substitution.ts'
import { COMPRESSIONS, type Compression, UpstreamCaches } from '../support/upstream-caches.ts'

const ATTRIBUTES = ['directory', 'self-reference', 'diamond-top', 'chain-top', 'odd-names', 'text']
/** Which way the client takes, and whose key it trusts. */
const WAYS: Readonly<Record<Compression, readonly [Fetch, 'node' | 'upstream']>> = {
  none: ['nix-store -r', 'node'],
  xz: ['nix copy', 'node'],
  zstd: ['nix-store -r', 'upstream'],
  bzip2: ['nix copy', 'node'],
  br: ['nix-store -r', 'node'],
  gzip: ['nix copy', 'upstream'],
}

describe('what an upstream cache has', () => {
  const stack = new AsyncDisposableStack()
  let roots: string[]
  let closure: PathFacts[]
  let caches: UpstreamCaches

  before(async () => {
    const store = stack.use(await NixStore.start())
    roots = await store.build(ATTRIBUTES)
    closure = await store.facts(await store.closure(roots))
    caches = stack.use(await UpstreamCaches.start(store, roots))
  })
  after(() => stack.disposeAsync())

  for (const compression of COMPRESSIONS) {
    const [fetchWith, whose] = WAYS[compression]
    test(`compressed with ${compression}: \`${fetchWith}\`, the ${whose}'s key trusted`, async () => {
      await using gachix = await caches.node(compression)
      const node = await gachix.serve()
      const nodeKey = (await gachix.run(['key', 'show'])).trim()
      const publicKeys = [whose === 'node' ? nodeKey : caches.publicKey]
      await checkSubstitution({ cache: { url: node.url, publicKeys }, roots, closure, with: fetchWith })
      const [source] = JSON.parse(await gachix.run(['status', '--json'])).sources
      assert.deepEqual(
        [source.name, source.kind, source.state, source.packages, source.failures],
        ['up', 'upstream', 'ok', closure.length, 0],
      )
      assert.equal(
        source.narBytes,
        closure.reduce((sum, { narSize }) => sum + narSize, 0),
      )
      assert.equal(source.lastError, null)
      await fsck(gachix.repository)
    })
  }

  test('HEAD says the same as GET, before and after the package is here', async () => {
    await using gachix = await caches.node('zstd')
    const node = await gachix.serve()
    const file = closure.find(({ references }) => references.length === 0)!
    const narinfoUrl = `${node.url}/${hashPart(file.path)}.narinfo`
    const head = await fetch(narinfoUrl, { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-type'), 'text/x-nix-narinfo')
    const narinfo = await (await fetch(narinfoUrl)).text()
    const url = `${node.url}/${/^URL: (.*)$/m.exec(narinfo)![1]}`
    const plain = { headers: { 'Accept-Encoding': 'identity' } }
    const nar = await fetch(url, { ...plain, method: 'HEAD' })
    assert.equal(nar.status, 200)
    const body = await (await fetch(url, plain)).arrayBuffer()
    assert.equal(Number(nar.headers.get('content-length')), body.byteLength)
    assert.equal(body.byteLength, file.narSize)
    await checkServed(node.url, file)
    const absent = await fetch(`${node.url}/${'0'.repeat(32)}.narinfo`, { method: 'HEAD' })
    assert.equal(absent.status, 404)
  })

  describe('`gachix add --from`', () => {
    test('learns a closure from an upstream by its name, and by its URL where its key is trusted', async () => {
      for (const from of ['up', caches.url('xz')]) {
        await using gachix = await caches.node('br')
        const summary = JSON.parse(await gachix.run(['add', ...roots, '--from', from, '--json']))
        assert.equal(summary.added, closure.length)
        await fsck(gachix.repository)
      }
    })

    test('refuses a cache whose key is not trusted, an unknown name, and a daemon that may not be used', async () => {
      await using stranger = await Gachix.create({ settings: 'store: { use_local_nix_daemon: false }\n' })
      const cases: [from: string, code: string, message: RegExp][] = [
        [
          caches.url('none'),
          'ERR_UNTRUSTED',
          /none of which is trusted; add its public key to trust\.public_keys/,
        ],
        ['nowhere', 'ERR_UNKNOWN_SOURCE', /there is no source "nowhere"/],
        ['local', 'ERR_NO_SOURCE', /use_local_nix_daemon is false/],
      ]
      for (const [from, code, message] of cases) {
        const { code: exit, stderr, stdout } = await stranger.attempt(['add', ...roots, '--from', from])
        assert.equal(exit, 1, stderr)
        assert.match(stderr, message)
        assert.ok(stderr.includes(code), stderr)
        assert.equal(stdout.length, 0)
      }
      const listed = await stranger.run(['list', '--json'])
      assert.deepEqual(JSON.parse(listed), [])
    })
  })
})
