/**
 * Repositories that gachix did not write: made by plain `git` commands in the documented format, with loose objects
 * and loose references in a non-bare repository, then packed with deltas by `git gc --aggressive`, bare.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkServed } from '../support/cache-client.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { hashPart } from '../support/narinfo.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { Plumbing } from '../support/plumbing.ts'
import { eachOf, run } from '../support/process.ts'
import { checkSubstitution } from '../support/substitution.ts'

describe('a repository written by plain git', () => {
  let store: NixStore
  let folder: string
  let worktree: string
  let bare: string
  let root: string
  let closure: PathFacts[]
  let key: { secretFile: string; publicKey: string }

  before(async () => {
    store = await NixStore.start()
    key = await store.signingKey('foreign.test-1')
    root = (await store.build(['plain']))[0]!
    closure = await store.facts(await store.closure([root]))
    folder = await mkdtemp(join(tmpdir(), 'gachix-foreign-'))
    worktree = join(folder, 'worktree')
    bare = join(folder, 'bare')
    await run('git', ['init', '--quiet', worktree])
    const plumbing = new Plumbing(worktree)
    for (const facts of closure) await plumbing.publish(store, facts)
    await run('git', ['clone', '--quiet', '--mirror', '--no-local', worktree, bare])
    await run('git', ['-C', bare, 'gc', '--quiet', '--aggressive', '--prune=now'])
  })

  after(async () => {
    await store?.close()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  async function serves(repository: string): Promise<void> {
    await using gachix = await Gachix.create({ repository, keyFile: key.secretFile })
    const node = await gachix.serve()
    await eachOf(closure, 2, async (facts) => {
      await checkServed(node.url, facts)
    })
    const cache = { url: node.url, publicKeys: [key.publicKey] }
    await checkSubstitution({ cache, roots: [root], closure, with: 'nix copy' })
    // Once more, with what the node has worked out in the meantime.
    await checkSubstitution({ cache, roots: [root], closure, with: 'nix-store -r' })
    await fsck(repository)
  }

  test('serves with loose objects and references, not bare', async () => {
    const packs = await readdir(join(worktree, '.git/objects/pack'))
    assert.deepEqual(packs, [])
    await serves(worktree)
  })

  test('serves after `git gc --aggressive`, with deltas', async () => {
    const [pack] = (await readdir(join(bare, 'objects/pack'))).filter((name) => name.endsWith('.idx'))
    const listing = (await run('git', ['verify-pack', '-v', join(bare, 'objects/pack', pack!)])).toString()
    assert.match(listing, /^chain length = \d+: \d+ object/m, 'the pack holds deltas')
    await serves(bare)
  })

  test('has the ids that gachix gives the same packages, and narinfos that only lack its signature', async () => {
    await using gachix = await Gachix.create({ daemonSocket: store.socket, keyFile: key.secretFile })
    await gachix.run(['add', root])
    const git = async (repository: string, ...args: string[]): Promise<string> =>
      (await run('git', ['-C', repository, ...args])).toString()
    const list = async (repository: string, kind: string): Promise<string> =>
      git(repository, 'for-each-ref', '--format=%(refname) %(objectname)', `refs/*/${kind}`)
    assert.equal(await list(gachix.repository, 'result'), await list(bare, 'result'))
    for (const { path } of closure) {
      const ref = `refs/${hashPart(path)}/narinfo`
      const ours = await git(gachix.repository, 'cat-file', 'blob', ref)
      assert.match(ours, /^Sig: foreign\.test-1:/m)
      assert.equal(ours.replace(/^Sig: .+$/m, 'Sig: '), await git(bare, 'cat-file', 'blob', ref))
    }
  })

  test('takes further packages and stays whole', async () => {
    await using gachix = await Gachix.create({
      repository: bare,
      daemonSocket: store.socket,
      keyFile: key.secretFile,
    })
    const [more] = await store.build(['crowd'])
    await gachix.run(['add', more!])
    const all = [...closure, ...(await store.facts(await store.closure([more!])))]
    const node = await gachix.serve()
    await eachOf(all, 2, async (facts) => {
      await checkServed(node.url, facts)
    })
    await fsck(bare)
  })
})
