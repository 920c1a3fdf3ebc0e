import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { gunzipSync } from 'node:zlib'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { collect } from '../../support/collect.ts'
import { openFilesIn } from '../../support/open-files.ts'
import {
  chunksOf,
  directory,
  file,
  type MadePackage,
  makePackage,
  sampleClosure,
  symlink,
} from '../../support/packages.ts'
import { run } from '../../support/process.ts'

/** What the Git store does about damage in its own files and in packs. */
describe('GitPackageStore', () => {
  let root: string
  let path: string

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gachix-store-'))
    path = join(root, 'repository')
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  const own = (...names: string[]) => join(path, 'gachix', ...names)
  const databaseFiles = () => ['', '-wal', '-shm'].map((suffix) => own(`index.sqlite${suffix}`))

  async function withStore<T>(work: (store: GitPackageStore) => Promise<T>): Promise<T> {
    const store = await GitPackageStore.open({ path })
    try {
      return await work(store)
    } finally {
      await store.close()
    }
  }

  async function addAll(packages: readonly MadePackage[]): Promise<void> {
    await withStore(async (store) => {
      const session = store.ingest()
      for (const { info, nar } of packages) await session.add(info, chunksOf(nar))
      await session.finish()
    })
  }

  it('serves and adds although the file of derived facts is damaged', async () => {
    const samples = sampleClosure()
    await addAll(samples)
    const facts = await readFile(own('index.sqlite'))
    // The header stays: only a look into the table shows the damage.
    await writeFile(own('index.sqlite'), facts.fill(0xa5, 4096))
    const more = makePackage('more', file('more'))
    await withStore(async (store) => {
      for (const { info, nar } of samples) {
        const found = await store.package(info.storePath.hash)
        assert.ok(found)
        const body = await store.openNar(found.tree, 'none')
        assert.ok((await collect(body!.read())).equals(nar))
      }
      const session = store.ingest()
      await session.add(more.info, chunksOf(more.nar))
      await session.finish()
      assert.ok(store.has(more.info.storePath.hash))
    })
  })

  it('lets go of all files when it cannot be opened', async () => {
    await addAll(sampleClosure())
    for (const name of databaseFiles()) await rm(name, { force: true })
    await mkdir(own('index.sqlite'))
    await writeFile(own('index.sqlite', 'file'), '')
    const failure = await GitPackageStore.open({ path }).then(
      (store) => store.close(),
      (error: unknown) => error,
    )
    assert.deepEqual(openFilesIn(root), [], String(failure))
  })

  it('looks at all packs although one of them is damaged, and complains of that one once', async () => {
    const samples = sampleClosure()
    await addAll(samples)
    for (const name of databaseFiles()) await rm(name, { force: true })
    for (const name of await readdir(own('splice'))) await rm(own('splice', name))
    await addDamagedPack()
    const warnings: string[] = []
    const note = (_: unknown, message: string) => void warnings.push(message)
    const logger = { warn: note, error() {}, info() {}, debug() {}, trace() {}, fatal() {} }
    const store = await GitPackageStore.open({ path, logger: logger as never })
    try {
      const offered = async () => {
        const found = await Promise.all(samples.map(({ info }) => store.package(info.storePath.hash)))
        return found.filter((one) => one?.gzip !== undefined).length
      }
      const deadline = performance.now() + 20_000
      while ((await offered()) < samples.length && performance.now() < deadline) await setImmediate()
      assert.equal(await offered(), samples.length)
      assert.ok(warnings.length <= 1, `${warnings.length} warnings, the first: ${warnings[0]}`)
    } finally {
      await store.close()
    }
  })

  it('takes the same closure from two sessions at once, and packages of nothing but empty files or links', async () => {
    const nothing = Object.fromEntries(
      Array.from({ length: 300 }, (_, i) => [`e${i}`, file('', i % 2 === 0)]),
    )
    const links = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`l${i}`, symlink(`to ${i % 7}`)]))
    const packages = [
      ...sampleClosure(),
      makePackage('nothing', file('')),
      makePackage('nothings', directory({ ...nothing, deep: directory(nothing) })),
      makePackage('links', directory({ ...links, deep: directory(links) }), ['nothing']),
    ]
    await withStore(async (store) => {
      const sessions = [store.ingest(), store.ingest()]
      await Promise.all(
        sessions.map(async (session, i) => {
          const own = i === 0 ? packages : packages.toReversed()
          await Promise.all(own.map(({ info, nar }) => session.add(info, chunksOf(nar, 7000))))
          await session.finish()
        }),
      )
      assert.equal(store.size, packages.length)
      for (const { info, nar } of packages) {
        const found = await store.package(info.storePath.hash)
        for (const encoding of ['none', 'gzip'] as const) {
          const bytes = await collect((await store.openNar(found!.tree, encoding))!.read())
          assert.ok((encoding === 'gzip' ? gunzipSync(bytes) : bytes).equals(nar), info.storePath.name)
        }
      }
    })
    assert.deepEqual(await readdir(own('tmp')), [])
    await run('git', ['-C', path, 'fsck', '--strict', '--full'])
  })

  it('can be closed twice', async () => {
    const store = await GitPackageStore.open({ path })
    await store.close()
    await store.close()
  })

  /** A pack of git's own with one entry whose type is none. */
  async function addDamagedPack(): Promise<void> {
    const git = (args: string[], input: string) => run('git', ['-C', path, ...args], { input })
    const oid = (await git(['hash-object', '-w', '--stdin'], 'stray'.repeat(100))).toString()
    const prefix = join(path, 'objects/pack/pack')
    const id = (await git(['pack-objects', '-q', prefix], oid)).toString().trim()
    const pack = `${prefix}-${id}.pack`
    await chmod(pack, 0o644)
    const handle = await open(pack, 'r+')
    await handle.write(Buffer.from([0]), 0, 1, 12)
    await handle.close()
  }
})
