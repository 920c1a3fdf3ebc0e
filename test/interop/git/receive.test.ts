/** Packs that `git` makes are taken in, proven and published; what lies in the repository then is sound to `git`. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Pack } from '../../../src/git/pack/pack.ts'
import type { Quarantine } from '../../../src/store/api.ts'
import type { GitPackageStore } from '../../../src/store/package-store.ts'
import { collect } from '../../support/collect.ts'
import { fsck } from '../../support/gachix.ts'
import { noise, prose } from '../../support/git-fixture.ts'
import { addAll, numbered } from '../../support/merging-store.ts'
import { directory, file, type MadePackage, makePackage, sampleClosure } from '../../support/packages.ts'
import { run } from '../../support/process.ts'
import { checkPublished, ROOMY, Sender, sent, storeFor, WITH_DELTAS } from '../../support/quarantine.ts'

/** Versions of the same file: `git` makes deltas of them. */
function versions(base = prose(400_000, 1)): MadePackage[] {
  return [1, 2, 3, 4].map((number) => {
    const contents = Buffer.concat([base.subarray(number * 10), Buffer.from(`version ${number}`)])
    const files = { 'data.txt': file(contents) }
    return makePackage(`version-${number}`, directory(files), number > 1 ? [`version-${number - 1}`] : [])
  })
}

async function admitAll(
  quarantine: Quarantine,
  sender: Sender,
  packages: readonly MadePackage[],
): Promise<void> {
  for (const made of packages)
    assert.equal(await quarantine.admit(made.info, await sender.commit(made)), 'added')
}

function packsIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.pack'))
    .map((name) => join(folder, name))
}

function quarantinePacks(store: GitPackageStore): string[] {
  const root = join(store.ownDir, 'quarantine')
  return readdirSync(root).flatMap((name) => packsIn(join(root, name, 'objects/pack')))
}

/** The ids of all objects in a folder's packs, with repetitions. */
async function packedObjects(folder: string): Promise<string[]> {
  const oids: string[] = []
  for (const path of packsIn(folder)) {
    const pack = await Pack.open(path)
    for (let position = 0; position < pack.index.count; position++) oids.push(pack.index.oidAt(position))
    pack.close()
  }
  return oids
}

/** Every index is, to the byte, the one that `git index-pack` makes. */
async function checkIndexes(packs: readonly string[]): Promise<void> {
  for (const pack of packs) {
    const made = `${pack}.again`
    await run('git', ['index-pack', '--no-rev-index', '-o', made, pack])
    assert.ok(readFileSync(made).equals(readFileSync(pack.replace(/pack$/, 'idx'))), pack)
  }
}

/** The gzip form is one whole gzip file of the NAR. */
async function checkGzip(store: GitPackageStore, hash: string): Promise<void> {
  const found = await store.package(hash)
  assert.ok(found?.gzip, 'its gzip form has been worked out')
  const body = await store.openNar(found.tree, 'gzip')
  const bytes = await collect(body!.read())
  assert.deepEqual(createHash('sha256').update(bytes).digest(), Buffer.from(found.gzip.sha256))
  const digest = createHash('sha256').update(gunzipSync(bytes)).digest()
  assert.deepEqual(digest, Buffer.from(found.info.narHash.digest))
}

describe('a pack of the closure', () => {
  const kinds: [string, readonly string[]][] = [
    ['whose entries go as they lie', []],
    ['made anew without deltas', ['--no-reuse-object', '--window=0']],
    ['uncompressed', ['--no-reuse-object', '--window=0', '--compression=0']],
    ['with deltas to ids', WITH_DELTAS],
    ['with deltas to offsets', [...WITH_DELTAS, '--delta-base-offset']],
  ]
  for (const [kind, flags] of kinds) {
    it(`${kind} is taken in, proven and published`, async (t) => {
      const packages = [...sampleClosure(), ...versions()]
      const sender = await Sender.of(t, packages)
      const pack = await sender.pack(await sender.commits(packages), flags)
      const store = await storeFor(t)
      const quarantine = await store.quarantine('a peer')
      const received = await quarantine.receive(sent(pack), ROOMY)
      assert.deepEqual(received, { objects: pack.readUInt32BE(8), bytes: pack.length })
      await checkIndexes(quarantinePacks(store))
      assert.equal(store.size, 0, 'nothing is visible yet')

      await admitAll(quarantine, sender, packages)
      await quarantine.publish()
      await checkPublished(store, packages)
      assert.deepEqual(quarantinePacks(store), [], 'nothing is left in quarantine')
      await quarantine.close()
      for (const { info } of packages) await checkGzip(store, info.storePath.hash)
      await store.close()
      await fsck(store.gitDir)
      const packs = packsIn(join(store.gitDir, 'objects/pack'))
      await checkIndexes(packs)
      for (const path of packs) {
        const listed = await run('git', ['verify-pack', '-v', path])
        assert.doesNotMatch(listed.toString(), /chain length/)
      }
      for (const made of packages) {
        const [ref, commit] = [`refs/${made.info.storePath.hash}/result`, await sender.commit(made)]
        assert.equal((await run('git', ['-C', store.gitDir, 'rev-parse', ref])).toString().trim(), commit)
      }
    })
  }
})

describe('a quarantine', () => {
  it('knows the gzip form also of what the store has in another encoding', async (t) => {
    const contents = { 'shared.txt': file(prose(50_000, 3)) }
    const first = makePackage('first', directory(contents))
    const second = makePackage('second', directory({ ...contents, 'own.txt': file(prose(50_000, 4)) }))
    const sender = await Sender.of(t, [first, second])
    const store = await storeFor(t, { compressionLevel: 1 })
    await addAll(store, [first])
    const quarantine = await store.quarantine('a peer')
    await quarantine.receive(sent(await sender.pack([await sender.commit(second)])), ROOMY)
    await admitAll(quarantine, sender, [second])
    await quarantine.publish()
    await quarantine.close()
    await checkGzip(store, second.info.storePath.hash)
  })

  it('publishes a large pack as it came, if it holds nothing else, and copies what is small', async (t) => {
    const large = makePackage('large', directory({ noise: file(noise(9_000_000, 1)) }))
    const small = makePackage('small', directory({ text: file(prose(5000, 2)) }))
    const sender = await Sender.of(t, [large, small])
    const store = await storeFor(t)
    for (const made of [large, small]) {
      const pack = await sender.pack([await sender.commit(made)])
      const quarantine = await store.quarantine(made.info.storePath.name)
      await quarantine.receive(sent(pack), ROOMY)
      await admitAll(quarantine, sender, [made])
      await quarantine.publish()
      await quarantine.close()
      const came = join(store.gitDir, 'objects/pack', `pack-${pack.subarray(-20).toString('hex')}.pack`)
      assert.equal(existsSync(came), made === large, `the pack of ${made.info.storePath}`)
    }
    await checkPublished(store, [large, small])
    assert.deepEqual(quarantinePacks(store), [])
    await store.close()
    await fsck(store.gitDir)
  })

  it('resolves deltas to what the store has (thin packs), and copies nothing that it has', async (t) => {
    const packages = versions()
    const sender = await Sender.of(t, packages)
    const [first, , , last] = await sender.commits(packages)
    const thin = await sender.pack([last!, `^${first}`], ['--thin', ...WITH_DELTAS])
    const store = await storeFor(t)
    await addAll(store, [packages[0]!])
    const quarantine = await store.quarantine('thin')
    await quarantine.receive(sent(thin), ROOMY)
    await admitAll(quarantine, sender, packages.slice(1))
    await quarantine.publish()
    await checkPublished(store, packages)
    await quarantine.close()
    await store.close()
    const packed = await packedObjects(join(store.gitDir, 'objects/pack'))
    assert.equal(new Set(packed).size, packed.length, 'no object lies in two packs')
    await fsck(store.gitDir)
  })

  it('resolves deltas to what earlier packs brought', async (t) => {
    const packages = versions()
    const sender = await Sender.of(t, packages)
    const [first, second] = await sender.commits(packages)
    const store = await storeFor(t)
    const quarantine = await store.quarantine('two packs')
    await quarantine.receive(sent(await sender.pack([first!])), ROOMY)
    await quarantine.receive(
      sent(await sender.pack([second!, `^${first}`], ['--thin', ...WITH_DELTAS])),
      ROOMY,
    )
    await admitAll(quarantine, sender, packages.slice(0, 2))
    await quarantine.publish()
    await checkPublished(store, packages.slice(0, 2))
    await quarantine.close()
  })

  it('applies deltas on what is too large for memory', async (t) => {
    const packages = versions(Buffer.concat([noise(17_000_000, 1), prose(400_000, 1)])).slice(0, 2)
    const sender = await Sender.of(t, packages)
    const commits = await sender.commits(packages)
    const pack = await sender.pack(commits, ['--no-reuse-object', '--window=5', '--compression=1'])
    assert.ok(pack.length < 25_000_000, 'one of the two is a delta')
    const store = await storeFor(t)
    const quarantine = await store.quarantine('large deltas')
    await quarantine.receive(sent(pack), ROOMY)
    await admitAll(quarantine, sender, packages)
    await quarantine.publish()
    await checkPublished(store, packages)
    await quarantine.close()
  })

  it('asks only for what is missing: trees first, then blobs', async (t) => {
    const packages = sampleClosure()
    const sender = await Sender.of(t, packages)
    const commits = await sender.commits(packages)
    const store = await storeFor(t)
    await addAll(store, packages.slice(0, 1))
    const quarantine = await store.quarantine('trees first')
    await quarantine.receive(sent(await sender.pack(commits, ['--filter=blob:none'])), ROOMY)
    const missing = new Set<string>()
    for (const commit of commits) {
      const tree = await sender.line(['rev-parse', `${commit}^{tree}`])
      for (const oid of await quarantine.missingBlobs(tree)) missing.add(oid)
    }
    const there = (await sender.git(['ls-tree', '-r', commits[0]!])).toString()
    const all = new Set<string>()
    for (const commit of commits)
      for (const [oid] of (await sender.git(['ls-tree', '-r', commit])).toString().matchAll(/[0-9a-f]{40}/g))
        all.add(oid)
    assert.deepEqual([...missing].sort(), [...all].filter((oid) => !there.includes(oid)).sort())
    const blobs = await sender.git(['pack-objects', '--quiet', '--stdout'], `${[...missing].join('\n')}\n`)
    await quarantine.receive(sent(blobs), ROOMY)
    assert.equal(await quarantine.admit(packages[0]!.info, commits[0]!), 'present')
    await admitAll(quarantine, sender, packages.slice(1))
    await quarantine.publish()
    await checkPublished(store, packages)
    await quarantine.close()
    await store.close()
    await fsck(store.gitDir)
  })

  it('keeps what came whole when a pack breaks off, and goes on from there', async (t) => {
    const packages = [1, 2, 3, 4, 5].map(numbered)
    const sender = await Sender.of(t, packages)
    const commits = await sender.commits(packages)
    const pack = await sender.pack(commits)
    const listed = (await sender.git(['rev-list', '--objects', ...commits])).toString()
    const oids = listed
      .trim()
      .split('\n')
      .map((line) => line.slice(0, 40))
    const store = await storeFor(t)
    for (const share of [0.1, 0.5, 0.9, 1]) {
      const name = `broken off at ${share}`
      const quarantine = await store.quarantine(name)
      const end = Math.floor(pack.length * share) - 1
      await assert.rejects(quarantine.receive(sent(pack.subarray(0, end)), ROOMY), {
        code: 'ERR_PACK_INVALID',
      })
      await quarantine.close()
      const again = await store.quarantine(name)
      const kept = oids.filter((oid) => again.has(oid)).length
      const whole = pack.readUInt32BE(8)
      assert.ok(kept > whole * share * 0.4, `${kept} of ${whole} objects at ${share}`)
      await again.close()
    }
  })

  it('takes up a pack that was about to get its index', async (t) => {
    const sender = await Sender.of(t, [numbered(1)])
    const commit = await sender.commit(numbered(1))
    const store = await storeFor(t)
    const quarantine = await store.quarantine('without index')
    await quarantine.receive(sent(await sender.pack([commit])), ROOMY)
    await quarantine.close()
    const [pack] = quarantinePacks(store)
    rmSync(pack!.replace(/pack$/, 'idx'))
    const again = await store.quarantine('without index')
    assert.ok(again.has(commit))
    assert.deepEqual(quarantinePacks(store), [pack])
    await admitAll(again, sender, [numbered(1)])
    await again.publish()
    await again.close()
  })
})
