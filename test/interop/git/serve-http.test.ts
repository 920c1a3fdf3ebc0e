/** The real `git` as a client of the node. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { Cache } from '../../support/cache-server.ts'
import { collect } from '../../support/collect.ts'
import { fsck } from '../../support/gachix.ts'
import { GitServer } from '../../support/git-server.ts'
import { chunksOf, directory, file, makePackage, sampleClosure } from '../../support/packages.ts'
import { run } from '../../support/process.ts'

const refsOf = async (server: GitServer, repository: string): Promise<string> =>
  server.git(['-C', repository, 'for-each-ref', '--format=%(objectname) %(refname)'])

describe('git clone --mirror', () => {
  for (const version of [0, 1, 2]) {
    test(`with protocol version ${version} makes a cache that serves the same packages`, async (t) => {
      const packages = sampleClosure()
      const server = await GitServer.start(t, { packages })
      const clone = server.place('clone')
      await server.git(['clone', '--mirror', server.url, clone], version)
      await fsck(clone)
      assert.equal((await refsOf(server, clone)).split('\n').length, 2 * packages.length)
      assert.deepEqual(await server.objects(clone), await server.objects(server.store.gitDir))
      const mirror = await GitPackageStore.open({ path: clone })
      t.after(() => mirror.close())
      for (const { info, nar } of packages) {
        assert.ok((await collect(mirror.nar(info))).equals(nar), info.storePath.name)
        assert.ok(mirror.hasClosure(info.storePath.hash))
      }
    })
  }

  test('of an empty store', async (t) => {
    const server = await GitServer.start(t)
    for (const version of [0, 2]) {
      await server.git(['clone', '--mirror', server.url, server.place(`clone${version}`)], version)
      assert.equal(await server.git(['ls-remote', server.url], version), '')
    }
  })

  test('of deltas that git gc --aggressive has made, beside loose objects', async (t) => {
    const text = 'all work and no play makes jack a dull boy\n'.repeat(4000)
    const versions = Array.from({ length: 6 }, (_, i) =>
      makePackage(
        `version-${i}`,
        directory({ text: file(`${text}${i}${text}`), large: file(`${i}${text.repeat(20)}`) }),
      ),
    )
    const server = await GitServer.start(t, {
      prepare: async (path) => {
        const store = await GitPackageStore.open({ path })
        const session = store.ingest()
        for (const { info, nar } of versions) await session.add(info, chunksOf(nar))
        await session.finish()
        await store.close()
        await run('git', ['-C', path, '-c', 'pack.window=50', 'gc', '--aggressive', '--quiet'])
        const hash = ['-C', path, 'hash-object', '-w', '--stdin']
        const oid = (await run('git', hash, { input: `loose${text}` })).toString().trim()
        await run('git', ['-C', path, 'update-ref', 'refs/tags/loose', oid])
      },
    })
    const deltas = await server.git([
      '-C',
      server.store.gitDir,
      'cat-file',
      '--batch-all-objects',
      '--batch-check=%(deltabase)',
    ])
    assert.ok(deltas.split('\n').filter((base) => !/^0+$/.test(base)).length >= 5)
    const clone = server.place('clone')
    await server.git(['clone', '--mirror', server.url, clone])
    await fsck(clone)
    assert.deepEqual(await server.objects(clone), await server.objects(server.store.gitDir))
  })
})

describe('git fetch', () => {
  for (const version of [0, 2]) {
    test(`gets what is new and nothing else, published a moment ago (version ${version})`, async (t) => {
      const shared = file('shared by two versions\n'.repeat(5000))
      const old = makePackage('old', directory({ a: directory({ shared }), b: file('old') }))
      const server = await GitServer.start(t, { packages: [...sampleClosure(), old] })
      const clone = server.place('clone')
      await server.git(['clone', '--mirror', server.url, clone], version)
      const before = new Set(await server.objects(clone))
      // Shares a directory with a package that it does not refer to.
      const contents = directory({ a: directory({ shared }), b: file('new') })
      await server.publish([makePackage('new', contents, ['libc', 'tool'])])
      const said = await server.attempt(['-C', clone, 'fetch', '--progress'], version)
      assert.equal(said.code, 0, said.stderr)
      const added = (await server.objects(clone)).filter((object) => !before.has(object))
      assert.deepEqual(added.map((object) => object.slice(41)).sort(), ['blob', 'blob', 'commit', 'tree'])
      assert.match(said.stderr, /remote: Sending 4 objects/)
      await fsck(clone)
    })
  }

  test('leaves blobs out, and gets single objects by their ids', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const clone = server.place('clone')
    const all = await server.objects(server.store.gitDir)
    for (const version of [0, 2]) {
      const partial = server.place(`partial${version}`)
      await server.git(['clone', '--filter=blob:none', '--mirror', server.url, partial], version)
      const got = await server.objects(partial)
      const blobs = got.filter((object) => object.endsWith('blob'))
      // Refs name the narinfos, so they come.
      assert.equal(blobs.length, sampleClosure().length)
      assert.deepEqual(
        got.filter((object) => !object.endsWith('blob')),
        all.filter((object) => !object.endsWith('blob')),
      )
    }
    await server.git(['init', '--quiet', '--bare', clone])
    const some = all.filter((object) => /blob|tree/.test(object)).filter((_, i) => i % 20 === 0)
    for (const version of [0, 2]) {
      const ids = some.filter((_, i) => i % 2 === version / 2).map((object) => object.slice(0, 40))
      await server.git(['-C', clone, 'fetch', '--filter=tree:0', server.url, ...ids], version)
    }
    assert.deepEqual(await server.objects(clone), some)
  })

  test('of a package brings the tags on it', async (t) => {
    const server = await GitServer.start(t, {
      prepare: async (path) => {
        const store = await GitPackageStore.open({ path })
        const session = store.ingest()
        for (const { info, nar } of sampleClosure()) await session.add(info, chunksOf(nar))
        await session.finish()
        const [commit = ''] = [...store.entries()].map((entry) => entry.commit)
        await store.close()
        const identity = ['-c', 'user.name=A', '-c', 'user.email=a@example.org']
        await run('git', ['-C', path, ...identity, 'tag', '-a', 'v1', '-m', 'a tag', commit])
        await run('git', ['-C', path, 'update-ref', 'refs/heads/main', commit])
      },
    })
    const tag = await server.git(['-C', server.store.gitDir, 'rev-parse', 'v1'])
    for (const version of [0, 2]) {
      assert.match(await server.git(['ls-remote', '--tags', server.url], version), /refs\/tags\/v1\^\{\}/)
      const symref = await server.git(['ls-remote', '--symref', server.url, 'HEAD'], version)
      assert.match(symref, /^ref: refs\/heads\/main\tHEAD\n/)
      const clone = server.place(`clone${version}`)
      await server.git(['clone', '--quiet', '--bare', server.url, clone], version)
      assert.equal(await server.git(['-C', clone, 'rev-parse', 'v1']), tag)
    }
  })

  test('of a part of the history is refused with the reason', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const clone = server.place('clone')
    await server.git(['init', '--quiet', '--bare', clone])
    const [commit = ''] = [...server.store.entries()].map((entry) => entry.commit)
    for (const version of [0, 2]) {
      const { code, stderr } = await server.attempt(
        ['-C', clone, 'fetch', '--depth=1', server.url, commit],
        version,
      )
      assert.notEqual(code, 0)
      assert.match(stderr, /does not support shallow/i)
    }
  })
})

describe("Git's own upload-pack, on a repository of ours", () => {
  for (const version of [0, 2]) {
    test(`leaves blobs out, and gives single objects (version ${version})`, async (t) => {
      const server = await GitServer.start(t, { packages: sampleClosure() })
      const all = await server.objects(server.store.gitDir)
      const url = `file://${server.store.gitDir}`
      // Git sees what the journal has once it is packed.
      await server.store.close()
      const partial = server.place('partial')
      await server.git(['clone', '--filter=blob:none', '--mirror', url, partial], version)
      assert.ok((await server.objects(partial)).length < all.length)
      const blobs = all.filter((object) => object.endsWith('blob')).map((object) => object.slice(0, 40))
      const single = server.place('single')
      await server.git(['init', '--quiet', '--bare', single])
      await server.git(['-C', single, 'fetch', '--quiet', url, ...blobs.slice(0, 3)], version)
      assert.equal((await server.objects(single)).length, 3)
    })
  }
})

describe('git ls-remote and git push', () => {
  test('refs can be asked for by their names', async (t) => {
    const packages = sampleClosure()
    const server = await GitServer.start(t, { packages })
    const { hash } = packages[0]!.info.storePath
    const lines = (await server.git(['ls-remote', server.url])).split('\n')
    assert.equal(lines.length, 2 * packages.length)
    const one = await server.git(['ls-remote', server.url, `refs/${hash}/result`])
    assert.deepEqual(
      one,
      lines.find((line) => line.includes(`${hash}/result`)),
    )
    assert.deepEqual((await server.git(['ls-remote', server.url], 0)).split('\n'), lines)
  })

  test('the page for people says how to clone', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const page = await (await fetch(server.server.url)).text()
    const command = /git clone --mirror (http:[^<]+)/.exec(page)?.[1]
    assert.equal(command, `http://127.0.0.1:${server.server.address?.port}/git`)
  })

  test('nothing is there when the node does not serve its repository', async (t) => {
    const cache = await Cache.start(t)
    assert.equal((await cache.get('/git/info/refs?service=git-upload-pack')).status, 404)
    assert.doesNotMatch((await cache.get('/')).body.toString(), /git clone/)
  })

  test('nothing can be pushed', async (t) => {
    const server = await GitServer.start(t, { packages: sampleClosure() })
    const clone = server.place('clone')
    await server.git(['clone', '--mirror', server.url, clone])
    const { code, stderr } = await server.attempt(['-C', clone, 'push', 'origin', '--mirror'])
    assert.notEqual(code, 0)
    assert.match(stderr, /403/)
  })
})
