import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ClosureInvalidError, PathNotFoundError, walkClosure } from '../../../src/ingest/closure.ts'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { AbortedError } from '../../../src/util/errors.ts'
import { MemorySource, storePathOf } from '../../support/memory-source.ts'

const names = (infos: readonly PathInfo[]) => infos.map((info) => info.storePath.name)

test('a closure of any shape comes whole, once, references first', async () => {
  // Package i refers to some of those below i, and maybe to itself: every graph without circles.
  const graph = fc
    .integer({ min: 1, max: 25 })
    .chain((count) =>
      fc.tuple(
        ...Array.from({ length: count }, (_, i) =>
          fc.uniqueArray(fc.integer({ min: 0, max: i }), { maxLength: 5 }),
        ),
      ),
    )
  await fc.assert(
    fc.asyncProperty(
      graph,
      fc.uniqueArray(fc.nat(24), { maxLength: 4 }),
      fc.integer({ min: 1, max: 9 }),
      async (below, picks, concurrency) => {
        const roots = [...new Set(picks.map((pick) => pick % below.length))]
        const packages = Object.fromEntries(
          below.map((references, i) => [`p${i}`, references.map((j) => `p${j}`)]),
        )
        const source = new MemorySource(packages, async (name) => {
          for (let i = name.length + (name.charCodeAt(1) % 4); i > 0; i--)
            await new Promise((resolve) => setImmediate(resolve))
        })
        const infos = await walkClosure(
          source,
          [...roots, ...roots].map((i) => storePathOf(`p${i}`)),
          { concurrency },
        )

        const expected = new Set<number>()
        const collect = (i: number): void => {
          if (expected.has(i)) return
          expected.add(i)
          for (const j of below[i] ?? []) collect(j)
        }
        roots.forEach(collect)
        assert.deepEqual(new Set(names(infos)), new Set([...expected].map((i) => `p${i}`)))
        assert.equal(infos.length, expected.size)
        assert.deepEqual([...source.asked].sort(), names(infos).sort())
        assert.ok(source.mostAtOnce <= concurrency)
        const before = new Set<string>()
        for (const info of infos) {
          for (const reference of info.references) {
            if (!reference.equals(info.storePath)) assert.ok(before.has(reference.name))
          }
          before.add(info.storePath.name)
        }
      },
    ),
    { numRuns: 100 },
  )
})

test('questions go out together', async () => {
  const leaves = Array.from({ length: 30 }, (_, i) => `leaf${i}`)
  const source = new MemorySource(
    { top: leaves, ...Object.fromEntries(leaves.map((leaf) => [leaf, []])) },
    () => new Promise((resolve) => setImmediate(resolve)),
  )
  assert.equal((await walkClosure(source, [storePathOf('top')], { concurrency: 6 })).length, 31)
  assert.equal(source.mostAtOnce, 6)
})

test('what is known is left out with all that is below it', async () => {
  const source = new MemorySource({
    top: ['known', 'a'],
    known: ['deep'],
    a: ['b', 'known'],
    b: [],
    deep: [],
  })
  const has = (hash: string) => hash === storePathOf('known').hash
  assert.deepEqual(names(await walkClosure(source, [storePathOf('top')], { has })), ['b', 'a', 'top'])
  assert.deepEqual(source.asked.sort(), ['a', 'b', 'top'])
  assert.deepEqual(await walkClosure(source, [storePathOf('known')], { has: async (hash) => has(hash) }), [])
})

test('a missing path is named, with who refers to it and the source', async () => {
  const source = new MemorySource({ top: ['middle'], middle: ['gone'] })
  await assert.rejects(walkClosure(source, [storePathOf('top')]), (error: Error) => {
    assert.ok(error instanceof PathNotFoundError)
    assert.equal(error.code, 'ERR_PATH_NOT_FOUND')
    for (const part of [String(storePathOf('gone')), String(storePathOf('middle')), 'memory'])
      assert.ok(error.message.includes(part))
    return true
  })
  await assert.rejects(
    walkClosure(source, [storePathOf('nothing')]),
    /-nothing is not a valid path of memory; build or fetch/,
  )
})

test('a circle is named', async () => {
  const source = new MemorySource({ top: ['x'], x: ['y'], y: ['z'], z: ['x', 'z'] })
  await assert.rejects(walkClosure(source, [storePathOf('top')]), (error: Error) => {
    assert.ok(error instanceof ClosureInvalidError)
    assert.match(error.message, /circle: \S+-x -> \S+-y -> \S+-z -> \S+-x$/)
    return true
  })
})

test('an abort ends the walk', async () => {
  const abort = new AbortController()
  const source = new MemorySource({ top: ['a'], a: ['b'], b: [] }, async (name) => {
    if (name === 'a') abort.abort()
  })
  await assert.rejects(walkClosure(source, [storePathOf('top')], { signal: abort.signal }), AbortedError)
  assert.ok(!source.asked.includes('b'))
})
