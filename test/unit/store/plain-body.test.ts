import assert from 'node:assert/strict'
import { statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import type { NarBody } from '../../../src/store/api.ts'
import { NarBodies } from '../../../src/store/nar-body.ts'
import { LARGEST_PART, narParts } from '../../../src/store/nar-parts.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { PartInflater } from '../../../src/store/part-inflater.ts'
import { NarPlan } from '../../../src/store/plan.ts'
import { makePlan } from '../../../src/store/plan-builder.ts'
import { SpliceRecords } from '../../../src/store/splice-records.ts'
import { collect } from '../../support/collect.ts'
import { packFiles } from '../../support/merging-store.ts'
import { chunksOf, directory, file, type MadePackage, makePackage, symlink } from '../../support/packages.ts'

/** Many small files, middling ones, and some that are larger than a part. */
function mixed(): MadePackage {
  const noise = (length: number, seed: number) =>
    Buffer.from(Array.from({ length }, (_, i) => (i * i * seed + (i >> 9)) & 0xff))
  const small = (seed: number, count: number) =>
    directory(
      Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`f${i}`, file(`${seed} and ${i}\n`.repeat(i))]),
      ),
    )
  return makePackage(
    'mixed',
    directory({
      a: small(1, 300),
      b: file(noise(700_000, 3)),
      c: small(2, 100),
      d: file(noise(2_500_000, 5)),
      e: file(noise(1_300_000, 7)),
      f: directory({ nothing: directory({}), empty: file(''), link: symlink('a') }),
      g: file(noise(400_000, 11)),
      h: small(3, 200),
    }),
  )
}

describe('a plain NAR that is inflated in parts', () => {
  const { info, nar } = mixed()
  let root: string
  let store: GitPackageStore
  let plan: NarPlan
  const inflaters: PartInflater[] = []
  const threads: Worker[] = []
  const onWorker = (thread: Worker) => threads.push(thread)

  before(async () => {
    process.on('worker', onWorker)
    root = await mkdtemp(join(tmpdir(), 'gachix-parts-'))
    store = await GitPackageStore.open({ path: join(root, 'repository') })
    const session = store.ingest()
    await session.add(info, chunksOf(nar))
    await session.finish()
    const { tree } = (await store.package(info.storePath.hash))!
    plan = await makePlan(store.objects, new SpliceRecords(store.objects, join(store.ownDir, 'splice')), tree)
  })
  after(async () => {
    process.off('worker', onWorker)
    for (const inflater of inflaters) await inflater.close()
    await store.close()
    await rm(root, { recursive: true, force: true })
  })

  function bodyOf(workers: number): { body: NarBody; inflater: PartInflater } {
    const inflater = new PartInflater(workers)
    inflaters.push(inflater)
    return { body: new NarBodies(store.objects, () => {}, inflater).plain(plan), inflater }
  }

  it('has parts that follow one another and stay within the bound', () => {
    fc.assert(
      fc.property(fc.nat(nar.length), fc.nat(nar.length), (a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)]
        const parts = [...narParts(plan, from, to)]
        let at = plan.startBefore(from).offset
        for (const { offset, size, atOnce } of parts) {
          assert.equal(offset, at)
          assert.ok(size > 0)
          assert.ok(!atOnce || size < LARGEST_PART)
          at += size
        }
        assert.ok(at >= to || parts.length === 0)
        assert.equal(parts.at(-1)?.last ?? false, at === nar.length && parts.length > 0)
      }),
    )
    const kinds = [...narParts(plan, 0, nar.length)].map(({ atOnce }) => atOnce)
    assert.ok(kinds.includes(true) && kinds.includes(false))
  })

  it('has the same bytes with one thread, several, and several readers, in chunks within the bound', async () => {
    for (const workers of [1, 3]) {
      const { body } = bodyOf(workers)
      const readers = Array.from({ length: 6 }, async () => {
        const pieces: Buffer[] = []
        for await (const chunk of body.read()) {
          assert.ok(chunk.length <= 256 * 1024)
          pieces.push(Buffer.from(chunk))
          body.recycle?.(chunk)
        }
        return Buffer.concat(pieces)
      })
      for (const read of await Promise.all(readers)) assert.ok(read.equals(nar))
    }
  })

  it('has every range', async () => {
    const { body } = bodyOf(2)
    await fc.assert(
      fc.asyncProperty(fc.nat(nar.length), fc.nat(nar.length), async (a, b) => {
        const range = { start: Math.min(a, b), end: Math.max(a, b) }
        assert.ok((await collect(body.read(range))).equals(nar.subarray(range.start, range.end)))
      }),
      { numRuns: 25 },
    )
  })

  it('gives its memory back when readers leave', async () => {
    const { body, inflater } = bodyOf(1)
    for (let i = 0; i < 20; i++) {
      for await (const _ of body.read()) break
      await body.read()[Symbol.asyncIterator]().return?.()
    }
    assert.ok(inflater.ready && inflater.idle)
    const controller = new AbortController()
    await assert.rejects(async () => {
      for await (const _ of body.read(undefined, { signal: controller.signal }))
        controller.abort(new Error('left'))
    }, /left/)
    assert.ok(inflater.ready && inflater.idle)
  })

  it('gives its memory back when more comes than the plan says', async () => {
    // The last file that is inflated piece by piece seems shorter than it is: the range ends before its turn is over.
    const large = [...narParts(plan, 0, nar.length)].findLast(({ atOnce }) => !atOnce)!
    const end = large.offset + large.size
    const startOffsets = plan.parts.startOffsets.map((offset) => (offset < end ? offset : offset - 100_000))
    let atOnce = 0
    const inflater = new (class extends PartInflater {
      override inflate(...each: Parameters<PartInflater['inflate']>) {
        atOnce++
        return super.inflate(...each)
      }
    })(2)
    inflaters.push(inflater)
    const wrong = new NarPlan({ ...plan.parts, startOffsets })
    const body = new NarBodies(store.objects, () => {}, inflater).plain(wrong)
    for (let i = 0; i < 12; i++) {
      atOnce = 0
      const read = await collect(body.read({ start: 0, end }))
      assert.ok(read.equals(nar.subarray(0, end)))
      // Without memory all would be one stream.
      assert.ok(atOnce >= 3, `reading ${i} had memory for ${atOnce} parts`)
    }
  })

  it('fails when a thread does, and is whole when it is read again', async () => {
    const { body, inflater } = bodyOf(1)
    const read = async (each: () => void): Promise<boolean> => {
      try {
        const pieces: Buffer[] = []
        for await (const chunk of body.read()) {
          pieces.push(Buffer.from(chunk))
          each()
        }
        return Buffer.concat(pieces).equals(nar)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ERR_INFLATE_WORKER')
        return false
      }
    }
    // A thread that fails between two parts does no harm.
    let failed = false
    for (let attempt = 0; attempt < 100 && !failed; attempt++)
      failed = !(await read(() => threads.at(-1)?.postMessage(null)))
    assert.ok(failed && inflater.ready)
    // It ends in its own time, and what is asked of it until then fails too.
    let whole = false
    for (let attempt = 0; attempt < 100 && !whole; attempt++) whole = await read(() => {})
    assert.ok(whole && inflater.ready)
  })

  it('never comes to its end when the pack is damaged anywhere', async () => {
    const { body } = bodyOf(2)
    const packs = packFiles(store).map((name) => join(store.gitDir, 'objects/pack', name))
    const pack = packs.toSorted((a, b) => statSync(b).size - statSync(a).size)[0]!
    const whole = await readFile(pack)
    try {
      for (const share of [0.02, 0.3, 0.5, 0.8]) {
        const bytes = Buffer.from(whole)
        const at = Math.floor(share * bytes.length)
        bytes.fill(0xff, at, at + 16)
        await writeFile(pack, bytes)
        let length = 0
        await assert.rejects(
          async () => {
            for await (const chunk of body.read()) length += chunk.length
          },
          { code: 'ERR_GIT_CORRUPT_OBJECT' },
        )
        assert.ok(length < nar.length)
      }
    } finally {
      await writeFile(pack, whole)
    }
    assert.ok((await collect(body.read())).equals(nar))
  })
})
