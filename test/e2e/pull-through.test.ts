/**
 * Pull-through: real clients fetch through a node what only an upstream cache has, which the real Nix made and the real
 * nginx serves. `pull-through-faults.test.ts` has the caches that misbehave.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkServed } from '../support/cache-client.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { hashPart } from '../support/narinfo.ts'
import { Nginx } from '../support/nginx.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { checkSubstitution, type Fetch } from '../support/substitution.ts'

const ATTRIBUTES = ['directory', 'self-reference', 'diamond-top', 'chain-top', 'odd-names', 'text']
const COMPRESSIONS = ['none', 'xz', 'zstd', 'bzip2', 'br', 'gzip'] as const

/** Which way the client takes, and whose key it trusts. */
const WAYS: Readonly<Record<(typeof COMPRESSIONS)[number], readonly [Fetch, 'node' | 'upstream']>> = {
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
  let upstreamKey: string
  let nginx: Nginx

  before(async () => {
    const store = stack.use(await NixStore.start())
    const folder = await mkdtemp(join(tmpdir(), 'gachix-upstream-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    roots = await store.build(ATTRIBUTES)
    closure = await store.facts(await store.closure(roots))
    const { secretFile, publicKey } = await store.signingKey('upstream.test-1')
    upstreamKey = publicKey
    const folders = COMPRESSIONS.map((compression) => join(folder, compression))
    for (const [index, compression] of COMPRESSIONS.entries()) {
      const url = `file://${folders[index]}?compression=${compression}&secret-key=${secretFile}`
      await store.inside(['nix', 'copy', '--to', url, ...roots])
    }
    nginx = stack.use(await Nginx.start(folders))
  })
  after(() => stack.disposeAsync())

  /** A node without a daemon that knows this upstream and trusts its key. */
  function nodeFor(compression: (typeof COMPRESSIONS)[number]): Promise<Gachix> {
    const url = nginx.url(COMPRESSIONS.indexOf(compression))
    const settings = `store:
  use_local_nix_daemon: false
  upstream_timeout: 10000
  upstreams: [{ url: "${url}", name: up }]
trust:
  public_keys: ["${upstreamKey}"]
`
    return Gachix.create({ settings })
  }

  for (const compression of COMPRESSIONS) {
    const [fetchWith, whose] = WAYS[compression]
    test(`compressed with ${compression}: \`${fetchWith}\`, the ${whose}'s key trusted`, async () => {
      await using gachix = await nodeFor(compression)
      const node = await gachix.serve()
      const nodeKey = (await gachix.run(['key', 'show'])).trim()
      const publicKeys = [whose === 'node' ? nodeKey : upstreamKey]
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
    await using gachix = await nodeFor('zstd')
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
      for (const from of ['up', nginx.url(COMPRESSIONS.indexOf('xz'))]) {
        await using gachix = await nodeFor('br')
        const summary = JSON.parse(await gachix.run(['add', ...roots, '--from', from, '--json']))
        assert.equal(summary.added, closure.length)
        await fsck(gachix.repository)
      }
    })

    test('refuses a cache whose key is not trusted, an unknown name, and a daemon that may not be used', async () => {
      await using stranger = await Gachix.create({ settings: 'store: { use_local_nix_daemon: false }\n' })
      const cases: [from: string, code: string, message: RegExp][] = [
        [nginx.url(0), 'ERR_UNTRUSTED', /none of which is trusted; add its public key to trust\.public_keys/],
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
