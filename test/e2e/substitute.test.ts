/**
 * The main job: packages of every shape go from a real Nix store through the real daemon into the repository, and real
 * clients fetch them over HTTP, signed and verified, byte for byte.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { checkServed, fetchNarinfo } from '../support/cache-client.ts'
import { fsck, Gachix, type GachixNode } from '../support/gachix.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { NixClient } from '../support/nix-client.ts'
import { eachOf, run } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'

describe('packages of every shape', () => {
  let store: NixStore
  let gachix: Gachix
  let node: GachixNode
  let root: string
  let closure: PathFacts[]
  let key: { secretFile: string; publicKey: string }

  before(async () => {
    store = await NixStore.start()
    key = await store.signingKey('e2e.test-1')
    root = (await store.build(['everything']))[0]!
    closure = await store.facts(await store.closure([root]))
    gachix = await Gachix.create({ daemonSocket: store.socket, keyFile: key.secretFile })
    await gachix.run(['add', root])
    node = await gachix.serve()
  })

  after(async () => {
    await gachix?.close()
    await store?.close()
  })

  const cache = (): { url: string; publicKeys: string[] } => ({ url: node.url, publicKeys: [key.publicKey] })

  test('every package is served as Nix knows it, gzip and plain', async () => {
    await eachOf(closure, 2, async (facts) => {
      const narinfo = await checkServed(node.url, facts)
      assert.ok(
        narinfo.signatures.some((signature) => signature.startsWith('e2e.test-1:')),
        facts.path,
      )
    })
  })

  test('gzip NARs pass `gzip -t`', async () => {
    for (const { path } of closure) {
      const narinfo = await fetchNarinfo(node.url, path)
      if (narinfo?.fields.get('Compression') !== 'gzip') continue
      const body = await fetch(`${node.url}/${narinfo.fields.get('URL')}`)
      await run('gzip', ['-t'], { input: new Uint8Array(await body.arrayBuffer()) })
    }
  })

  test('`nix copy --from` fetches the closure into an empty store', async () => {
    await checkSubstitution({ cache: cache(), roots: [root], closure, with: 'nix copy' })
  })

  test('`nix-store -r` fetches the closure into an empty store', async () => {
    await checkSubstitution({ cache: cache(), roots: [root], closure, with: 'nix-store -r' })
  })

  test('a client that does not trust the key refuses what is not content-addressed', async () => {
    const file = closure.find(({ path }) => path.endsWith('-plain-file'))!
    const flat = closure.find(({ path }) => path.endsWith('-ca-flat'))!
    await using client = await NixClient.create()
    const other = await store.signingKey('someone.else-1')
    const refused = await client.tryCopy({ url: node.url, publicKeys: [other.publicKey] }, [file.path])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /signature/)
    await client.copy({ url: node.url, publicKeys: [] }, [flat.path])
  })

  test('the repository passes `git fsck --strict --full`', async () => {
    await fsck(gachix.repository)
  })

  test('a `git clone --mirror` of the repository serves the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-mirror-'))
    try {
      const mirror = join(folder, 'mirror')
      await promisify(execFile)('git', ['clone', '--quiet', '--mirror', gachix.repository, mirror])
      await using other = await Gachix.create({ repository: mirror, keyFile: key.secretFile })
      const mirrorNode = await other.serve()
      await eachOf(closure, 2, async (facts) => {
        const here = await fetchNarinfo(node.url, facts.path)
        const there = await checkServed(mirrorNode.url, facts)
        for (const name of ['StorePath', 'NarHash', 'NarSize', 'References', 'Deriver', 'CA']) {
          assert.equal(there.fields.get(name), here?.fields.get(name), `${name} of ${facts.path}`)
        }
        assert.deepEqual(there.signatures, here?.signatures)
      })
      await fsck(mirror)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  test('adding it all again changes nothing', async () => {
    const references = async (): Promise<string> =>
      (await run('git', ['-C', gachix.repository, 'show-ref'])).toString()
    const earlier = await references()
    await gachix.run(['add', root])
    assert.equal(await references(), earlier)
  })

  test('another repository gets the same ids', async () => {
    // Of the same key, as what a node adds has its signature in the narinfo.
    await using other = await Gachix.create({ daemonSocket: store.socket, keyFile: key.secretFile })
    await other.run(['add', closure.find(({ path }) => path.endsWith('-diamond-top'))!.path])
    await other.run(['add', root])
    const list = async (repository: string): Promise<string> =>
      (await run('git', ['-C', repository, 'for-each-ref', '--format=%(refname) %(objectname)'])).toString()
    assert.equal(await list(other.repository), await list(gachix.repository))
  })

  test('files whose contents git refuses are served byte for byte', async () => {
    const [hostile] = await store.facts(await store.build(['git-hostile']))
    await using other = await Gachix.create({ daemonSocket: store.socket, keyFile: key.secretFile })
    await other.run(['add', hostile!.path])
    await checkServed((await other.serve()).url, hostile!)
  })

  test('what nobody added is not there', async () => {
    const answer = await fetch(`${node.url}/${'0'.repeat(32)}.narinfo`)
    assert.equal(answer.status, 404)
  })

  test('a copy of the folder without `gachix/` serves the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-copy-'))
    try {
      const copy = join(folder, 'copy')
      await cp(gachix.repository, copy, { recursive: true, filter: (from) => !from.endsWith('.sock') })
      await rm(join(copy, 'gachix'), { recursive: true, force: true })
      await using other = await Gachix.create({ repository: copy, keyFile: key.secretFile })
      const copyNode = await other.serve()
      await eachOf(closure, 2, async (facts) => {
        await checkServed(copyNode.url, facts)
      })
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
