/** Plans and listings of packages of many files that are kept from one start to the next. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ObjectDatabase } from '../../../src/git/object-database.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { NarPlan } from '../../../src/store/plan.ts'
import { makePlan } from '../../../src/store/plan-builder.ts'
import { FILES_WORTH_KEEPING, PlanFiles } from '../../../src/store/plan-files.ts'
import { decodePlan } from '../../../src/store/plan-format.ts'
import { SpliceRecords } from '../../../src/store/splice-records.ts'
import { silentLogger } from '../../../src/util/log.ts'
import { collect } from '../../support/collect.ts'
import { chunksOf, directory, file, type MadePackage, makePackage } from '../../support/packages.ts'
import { run } from '../../support/process.ts'

function packageOf(name: string, files: number): MadePackage {
  const entries = Array.from({ length: files }, (_, number) => [
    `file-${number}`,
    file(`file ${number} of ${name}, ${'again and '.repeat(number % 20)}again\n`),
  ])
  return makePackage(name, directory({ share: directory(Object.fromEntries(entries)) }))
}

/** The bytes at the beginning of their memory. */
function aligned(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}

describe('plans and listings in files', () => {
  let root: string
  let path: string
  const large = packageOf('large', FILES_WORTH_KEEPING)
  const plans = (): string => join(path, 'gachix/plans')

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gachix-plans-'))
    path = join(root, 'repository')
    await add(large, packageOf('small', 10))
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  async function withStore<T>(work: (store: GitPackageStore) => Promise<T>): Promise<T> {
    const store = await GitPackageStore.open({ path })
    try {
      return await work(store)
    } finally {
      await store.close()
    }
  }

  async function add(...packages: readonly MadePackage[]): Promise<void> {
    await withStore(async (store) => {
      const session = store.ingest()
      for (const { info, nar } of packages) await session.add(info, chunksOf(nar))
      await session.finish()
    })
  }

  /** Asks a store that is opened for this for everything there is of the package, and checks it. */
  async function ask(made = large): Promise<{ tree: string; listing: string }> {
    return await withStore(async (store) => {
      const { hash } = made.info.storePath
      const listing = await store.listing(hash)
      const found = await store.package(hash)
      assert.ok(found?.gzip !== undefined && listing !== undefined)
      const plain = await store.openNar(found.tree, 'none')
      assert.ok((await collect(plain!.read())).equals(made.nar))
      const gzip = await store.openNar(found.tree, 'gzip')
      const body = await collect(gzip!.read())
      assert.equal(body.length, found.gzip.size)
      assert.ok(gunzipSync(body).equals(made.nar))
      return { tree: found.tree, listing }
    })
  }

  it('are there for packages that are worth it: plans once they are added, listings once they are asked for', async () => {
    await ask(packageOf('small', 10))
    assert.equal((await readdir(plans())).length, 1)
    const { tree, listing } = await ask()
    assert.deepEqual((await readdir(plans())).sort(), [`${tree}.ls.gz`, `${tree}.plan`])
    assert.equal(gunzipSync(await readFile(join(plans(), `${tree}.ls.gz`))).toString(), listing)
    assert.equal((await ask()).listing, listing)
  })

  it('are made once for all who ask at a time', async () => {
    await withStore(async (store) => {
      const { hash } = large.info.storePath
      const [first, second] = await Promise.all([store.listing(hash), store.listing(hash)])
      assert.ok(first !== undefined)
      const again = await store.listing(hash)
      assert.deepEqual([second, again], [first, first])
      const gone = AbortSignal.abort()
      await assert.rejects(store.listing(hash, { signal: gone }), { name: 'AbortError' })
    })
    assert.equal((await readdir(plans())).length, 2)
  })

  it('are made anew when they are damaged or gone, and the folder is tidied', async () => {
    const { tree, listing } = await ask()
    const names = [`${tree}.plan`, `${tree}.ls.gz`].map((name) => join(plans(), name))
    const whole = await Promise.all(names.map((name) => readFile(name)))
    for (const change of [
      (bytes: Buffer) =>
        bytes.fill(bytes[bytes.length >> 1]! ^ 1, bytes.length >> 1, (bytes.length >> 1) + 1),
      (bytes: Buffer) => bytes.subarray(0, bytes.length - 1),
      () => Buffer.alloc(0),
    ]) {
      for (const [index, name] of names.entries()) await writeFile(name, change(Buffer.from(whole[index]!)))
      await writeFile(join(plans(), `${tree}.plan.1234.tmp`), 'the rest of a crash')
      assert.equal((await ask()).listing, listing)
      assert.deepEqual((await readdir(plans())).sort(), [`${tree}.ls.gz`, `${tree}.plan`])
      assert.ok((await readFile(names[0]!)).equals(whole[0]!))
    }
    await rm(plans(), { recursive: true })
    await ask()
    assert.ok((await readFile(names[0]!)).equals(whole[0]!))
    await rm(plans(), { recursive: true })
    await writeFile(plans(), 'in the way')
    await ask()
  })

  it('outlive packs that come, and not those that they were made of', async () => {
    const { tree } = await ask()
    const plan = join(plans(), `${tree}.plan`)
    const before = await readFile(plan)
    await add(packageOf('another', 5))
    await ask()
    const after = await readFile(plan)
    const packs = (bytes: Buffer): Buffer => decodePlan(aligned(bytes), tree)!.packs
    const planIn = (bytes: Buffer) => decodePlan(aligned(bytes), tree)!.plan.parts
    assert.ok(!packs(before).equals(packs(after)), 'it says of which packs it is true now')
    assert.deepEqual(planIn(before), planIn(after))
    await run('git', ['-C', path, '-c', 'pack.compression=9', 'repack', '-a', '-d', '-F', '-q'])
    await withStore(async (store) => {
      const body = await store.openNar(tree, 'none')
      assert.ok((await collect(body!.read())).equals(large.nar))
    })
  })

  it('are what was made, however often, within a bound', async () => {
    const trees = await withStore(async (store) => {
      const found = await store.package(large.info.storePath.hash)
      return [found!.tree]
    })
    const database = await ObjectDatabase.open(join(path, 'objects'))
    const records = new SpliceRecords(database, join(path, 'gachix/splice'))
    const components = {
      directory: join(root, 'plans'),
      database,
      isServable: () => Promise.reject(new Error('not asked while the packs are the same')),
      logger: silentLogger,
    }
    const plan = await makePlan(database, records, trees[0]!)
    const files = new PlanFiles(components)
    await files.keepPlan(plan)
    assert.deepEqual((await new PlanFiles(components).plan(plan.tree))?.parts, plan.parts)
    assert.equal(await files.plan('0'.repeat(40)), undefined)

    const { size } = await stat(join(root, 'plans', `${plan.tree}.plan`))
    const bounded = new PlanFiles({ ...components, maxBytes: 2 * size + 100 })
    const other = (digit: string): NarPlan => new NarPlan({ ...plan.parts, tree: digit.repeat(40) })
    await bounded.keepPlan(other('1'))
    assert.ok((await bounded.plan(plan.tree)) !== undefined)
    await bounded.keepPlan(other('2'))
    assert.deepEqual(
      (await readdir(join(root, 'plans'))).sort(),
      [`${'2'.repeat(40)}.plan`, `${plan.tree}.plan`].sort(),
      'what was not used for longest went',
    )
    const tiny = new PlanFiles({ ...components, maxBytes: size - 1 })
    await tiny.keepPlan(other('3'))
    assert.equal(await tiny.plan('3'.repeat(40)), undefined)
    records.close()
    database.close()
  })

  it('count for nothing with any byte changed', async () => {
    const { tree } = await ask()
    const whole = await readFile(join(plans(), `${tree}.plan`))
    assert.ok(decodePlan(aligned(whole), tree) !== undefined)
    assert.equal(decodePlan(aligned(whole), '1'.repeat(40)), undefined)
    for (let at = 0; at < whole.length; at += 997) {
      const changed = aligned(whole)
      changed[at]! ^= 1 << (at % 8)
      assert.equal(decodePlan(changed, tree), undefined, `byte ${at}`)
    }
  })
})
