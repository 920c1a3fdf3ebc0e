import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import * as fc from 'fast-check'
import { CHUNK_SIZE } from '../../../src/git/deflate/chunk.ts'
import type { NarBody } from '../../../src/store/api.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { collect } from '../../support/collect.ts'
import { chunksOf, directory, file, type MadePackage, makePackage, symlink } from '../../support/packages.ts'
import { eachOf, run } from '../../support/process.ts'

/** How a blob lies in the repository before the package that has it is added. */
type Place = 'new' | 'loose' | 'packed' | 'delta'

interface Blob {
  readonly content: Buffer
  readonly place: Place
  /** zlib level of what git packs. */
  readonly level: number
}

/**
 * NAR bodies of packages whose blobs lie in every way that Git knows: deflated by us, deflated by git, as deltas, loose,
 * and mixtures of them.
 */
describe('NAR bodies of mixed repositories', () => {
  it('are right as a whole and in all parts, and gzip finds no fault', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(blob, { minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        checkMixture,
      ),
      { numRuns: 6 },
    )
  })

  it('are right in every part of a small package', async () => {
    const contents = ['', 'a', 'b'.repeat(40), 'abc'.repeat(30), '']
    const places: Place[] = ['packed', 'new', 'loose', 'new', 'packed']
    const blobs = contents.map((text, i) => ({ content: Buffer.from(text), place: places[i]!, level: 9 }))
    await withStore(blobs, async (store, made) => {
      for (const encoding of ['none', 'gzip'] as const) {
        const body = await bodyOf(store, made, encoding)
        if (body === undefined) continue
        const whole = await collect(body.read())
        for (let start = 0; start <= whole.length; start++) {
          await eachOf([1, 9, whole.length], 3, (length) =>
            checkPart(body, whole, start, Math.min(whole.length, start + length)),
          )
        }
      }
    })
  })
})

async function checkMixture(blobs: Blob[], random: fc.Stream<number>): Promise<void> {
  await withStore(blobs, async (store, made) => {
    for (const encoding of ['none', 'gzip'] as const) {
      const body = await bodyOf(store, made, encoding)
      if (body === undefined) continue
      const whole = await collect(body.read())
      assert.equal(whole.length, body.size)
      if (encoding === 'none') assert.ok(whole.equals(made.nar), 'the NAR is another')
      else await checkGzip(whole, made.nar)
      const next = () => random.next().value as number
      const parts = Array.from({ length: 60 }, () => {
        const start = next() % (whole.length + 1)
        const length = [0, 1, 5, 100, 70_000, 600_000, whole.length][next() % 7]!
        return [start, start + (length === 0 ? 0 : 1 + (next() % length))] as const
      })
      // Several at a time: reads of loose objects wait for the disk more than they work.
      await eachOf(parts, 4, ([start, end]) => checkPart(body, whole, start, Math.min(whole.length, end)))
    }
  })
}

async function checkPart(body: NarBody, whole: Buffer, start: number, end: number): Promise<void> {
  const part = await collect(body.read({ start, end }))
  assert.ok(
    part.equals(whole.subarray(start, end)),
    `${body.encoding} bytes ${start} to ${end} of ${whole.length}`,
  )
}

async function checkGzip(body: Buffer, nar: Buffer): Promise<void> {
  await run('gzip', ['-t'], { input: body })
  assert.ok((await run('gzip', ['-dc'], { input: body })).equals(nar), 'gzip holds another NAR')
}

/** Puts the blobs where they are to lie, adds a package of them all, and opens the store anew without derived facts. */
async function withStore(
  blobs: readonly Blob[],
  check: (store: GitPackageStore, made: MadePackage) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'gachix-bodies-'))
  const path = join(root, 'repository')
  await run('git', ['init', '--quiet', '--bare', path])
  await place(path, root, blobs)
  const files = Object.fromEntries(blobs.map(({ content }, i) => [`f${i}`, file(content, i % 3 === 0)]))
  const made = makePackage(
    'mixed',
    directory({ ...files, deep: directory({ link: symlink('x'), ...files }) }),
  )
  const first = await GitPackageStore.open({ path })
  const session = first.ingest()
  await session.add(made.info, chunksOf(made.nar))
  await session.finish()
  await check(first, made)
  await first.close()
  for (const suffix of ['', '-wal', '-shm']) {
    await rm(join(path, 'gachix', `index.sqlite${suffix}`), { force: true })
  }
  const second = await GitPackageStore.open({ path })
  await check(second, made)
  await second.close()
  await run('git', ['-C', path, 'fsck', '--strict', '--full'])
  await rm(root, { recursive: true })
}

async function place(path: string, root: string, blobs: readonly Blob[]): Promise<void> {
  const known = blobs.filter(({ place }) => place !== 'new')
  if (known.length === 0) return
  const folder = join(root, 'files')
  await mkdir(folder)
  const names = known.map((_, i) => join(folder, `${i}`))
  for (const [i, { content }] of known.entries()) await writeFile(names[i]!, content)
  const hashed = await run('git', ['-C', path, 'hash-object', '-w', '--stdin-paths'], {
    input: `${names.join('\n')}\n`,
  })
  const oids = hashed.toString().trim().split('\n')
  const groups = new Map<string, string[]>()
  for (const [i, { place, level }] of known.entries()) {
    if (place === 'loose') continue
    const key = `${place} ${level}`
    groups.set(key, [...(groups.get(key) ?? []), `${oids[i]} name`])
  }
  for (const [key, lines] of groups) {
    const [kind, level] = key.split(' ')
    const options = [`--window=${kind === 'delta' ? 10 : 0}`, '--depth=50', '--no-reuse-object', '-q']
    const git = ['-C', path, '-c', `pack.compression=${level}`, '-c', `core.compression=${level}`]
    const prefix = join(path, 'objects/pack/pack')
    await run('git', [...git, 'pack-objects', ...options, prefix], { input: `${lines.join('\n')}\n` })
  }
  await run('git', ['-C', path, 'prune-packed', '-q'])
}

/** The body; of gzip the one that is there once the store has looked at all packs. */
async function bodyOf(
  store: GitPackageStore,
  made: MadePackage,
  encoding: 'none' | 'gzip',
): Promise<NarBody | undefined> {
  const { hash } = made.info.storePath
  let found = await store.package(hash)
  for (let i = 0; i < 2000 && encoding === 'gzip' && found?.gzip === undefined; i++) {
    await setImmediate()
    found = await store.package(hash)
  }
  assert.ok(found)
  return await store.openNar(found.tree, encoding)
}

const sizes = [
  0,
  1,
  2,
  100,
  65_534,
  65_535,
  65_536,
  65_537,
  131_070,
  131_071,
  CHUNK_SIZE - 1,
  CHUNK_SIZE,
  CHUNK_SIZE + 1,
  700_000,
]

const blob: fc.Arbitrary<Blob> = fc
  .record({
    size: fc.oneof(fc.constantFrom(...sizes), fc.nat({ max: 3000 })),
    alphabet: fc.constantFrom(1, 2, 16, 256),
    seed: fc.integer({ min: 0, max: 3 }),
    place: fc.constantFrom<Place>('new', 'new', 'loose', 'packed', 'delta'),
    level: fc.constantFrom(0, 1, 6, 9),
  })
  .map(({ size, alphabet, seed, place, level }) => ({ content: noise(size, alphabet, seed), place, level }))

/** The same content for the same seed but for its length, so that blobs make good deltas of each other. */
function noise(size: number, alphabet: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0, state = seed * 7919 + 1; i < size; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[i] = (state >>> 16) % alphabet
  }
  return bytes
}
