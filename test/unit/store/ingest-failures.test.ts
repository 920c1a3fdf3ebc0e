import assert from 'node:assert/strict'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { DeflatePool } from '../../../src/git/deflate/pool.ts'
import { Lane } from '../../../src/store/ingest/lane.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { chunksOf, directory, file, type MadePackage, makePackage } from '../../support/packages.ts'

/** What an ingest session does when its disk, its source or its user fails it. */
describe('an ingest session that fails', () => {
  let root: string
  let path: string
  let store: GitPackageStore

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'gachix-ingest-'))
    path = join(root, 'repository')
    store = await GitPackageStore.open({ path })
  })
  afterEach(async () => {
    await store.close()
    await rm(root, { recursive: true, force: true })
  })

  const packDir = () => join(path, 'objects', 'pack')
  const temporary = () => readdir(join(path, 'gachix', 'tmp'))

  /** A package of more than a lane puts into one pack, so that the pack is completed with it. */
  function large(name: string): MadePackage {
    return makePackage(name, directory({ data: file(randomBytes(66 * 1024 * 1024)) }))
  }

  it('does not lose packages silently whose pack could not be completed', async () => {
    const session = store.ingest()
    const small = Array.from({ length: 8 }, (_, i) => makePackage(`small-${i}`, file(`contents ${i}`)))
    for (const { info, nar } of small) assert.equal(await session.add(info, chunksOf(nar)), 'added')
    await rename(packDir(), `${packDir()}.gone`)
    const heavy = large('heavy')
    await assert.rejects(session.add(heavy.info, chunksOf(heavy.nar)))
    await rename(`${packDir()}.gone`, packDir())
    let failure: unknown
    await session.finish().catch((error: unknown) => {
      failure = error
    })
    await session.abort()
    const lost = small.filter(({ info }) => !store.has(info.storePath.hash))
    assert.ok(
      lost.length === 0 || failure !== undefined,
      `finish() told nothing of ${lost.length} lost packages`,
    )
  })

  it('leaves no file behind when the pack under way cannot be finished', async () => {
    const pool = new DeflatePool({ level: 6, workers: 1 })
    const tmpDir = join(path, 'gachix', 'tmp')
    const lane = new Lane({
      pool,
      level: 6,
      tmpDir,
      packDir: packDir(),
      spliceDir: join(path, 'gachix', 'splice'),
      has: () => false,
      onPack: async () => {},
      siblings: () => [],
    })
    const one = makePackage('one', file('one'))
    await lane.store(one.info, chunksOf(one.nar))
    await pool.close()
    const two = makePackage('two', file('two'))
    await assert.rejects(lane.store(two.info, chunksOf(two.nar)))
    await assert.rejects(lane.complete())
    await lane.abort(new Error('given up'))
    assert.deepEqual(await temporary(), [])
  })

  it('starts no pack for a package that waited for its turn when the session was given up', async () => {
    const session = store.ingest()
    const gates: PromiseWithResolvers<void>[] = []
    const adds = Array.from({ length: 16 }, (_, i) => {
      const { info, nar } = makePackage(`waiting-${i}`, file(`contents ${i}`))
      const gate = Promise.withResolvers<void>()
      gates.push(gate)
      const source = async function* () {
        await gate.promise
        yield* chunksOf(nar)
      }
      return session.add(info, source())
    })
    const settled = Promise.allSettled(adds)
    const aborted = session.abort()
    for (const gate of gates) gate.resolve()
    await aborted
    const outcomes = await settled
    assert.deepEqual(await temporary(), [])
    assert.deepEqual(
      outcomes.filter(({ status }) => status === 'fulfilled'),
      [],
    )
  })

  it('publishes nothing any more once giving it up is done, though it was finishing', async () => {
    const session = store.ingest()
    const one = makePackage('one', file('one'))
    await session.add(one.info, chunksOf(one.nar))
    const finished = session.finish().catch(() => {})
    await immediate()
    await session.abort()
    const published = store.has(one.info.storePath.hash)
    await finished
    assert.equal(store.has(one.info.storePath.hash), published)
  })

  it('publishes no package without its references because one of them was added alone', async () => {
    const middle = makePackage('middle', file('middle'), ['bottom'])
    const top = makePackage('top', file('top'), ['middle'])
    const session = store.ingest()
    await session.add(middle.info, chunksOf(middle.nar), { single: true })
    await session.add(top.info, chunksOf(top.nar))
    await assert.rejects(session.finish(), { code: 'ERR_MISSING_REFERENCE' })
    assert.ok(store.has(middle.info.storePath.hash))
    assert.equal(store.has(top.info.storePath.hash), false)
  })

  it('publishes a long chain of packages that came in the wrong order', async () => {
    const session = store.ingest()
    const chain = Array.from({ length: 3000 }, (_, i) =>
      makePackage(`link-${i}`, file('link'), i === 0 ? [] : [`link-${i - 1}`]),
    )
    for (const { info, nar } of chain.toReversed()) await session.add(info, chunksOf(nar))
    await session.finish()
    assert.equal(store.size, chain.length)
  })

  it('goes on in the same lane after a package that failed half-way, sharing no blob with it', async () => {
    const session = store.ingest()
    const shared = randomBytes(700_000)
    const good = Array.from({ length: 4 }, (_, i) =>
      makePackage(
        `good-${i}`,
        directory({ own: file(`own ${i}`), shared: file(shared), z: file(randomBytes(9)) }),
      ),
    )
    for (const [i, { info, nar }] of good.entries()) {
      const broken = makePackage(
        `broken-${i}`,
        directory({ shared: file(shared), z: file(randomBytes(300_000)) }),
      )
      const half = async function* () {
        yield broken.nar.subarray(0, 850_000)
        throw new Error('broke')
      }
      await assert.rejects(session.add(broken.info, half()), { message: 'broke' })
      assert.equal(await session.add(info, chunksOf(nar, 10_000)), 'added')
    }
    await session.finish()
    for (const { info, nar } of good) {
      const parts: Uint8Array[] = []
      for await (const chunk of store.nar(info)) parts.push(chunk)
      assert.ok(Buffer.concat(parts).equals(nar), info.storePath.name)
    }
    assert.deepEqual(await temporary(), [])
  })
})

const immediate = () => new Promise((resolve) => setImmediate(resolve))

function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0, state = length | 1; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345 + Math.floor(Math.random() * 256)) | 0
    bytes[i] = state >>> 16
  }
  return bytes
}
