import assert from 'node:assert/strict'
import { mkdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { PackedRefs } from '../../../../src/git/refs/packed-refs.ts'
import { compareRefNames } from '../../../../src/git/refs/ref-name.ts'
import { RefStore } from '../../../../src/git/refs/ref-store.ts'
import { copyOf, oid, oids, refNames, temporaryDirectory } from './arbitraries.ts'

const HASH = 'c'.repeat(32)
const NEVER = { packDelay: 1e9 }

async function writeLoose(gitDir: string, name: string, content: string): Promise<void> {
  await mkdir(dirname(join(gitDir, name)), { recursive: true })
  await writeFile(join(gitDir, name), content)
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
const names = (store: RefStore, prefix?: string): string[] => [...store.list(prefix)].map(({ name }) => name)

test('changes are visible at once, and in packed-refs after closing', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const store = await RefStore.open(gitDir, NEVER)
  await store.update({
    set: [
      [`refs/${HASH}/narinfo`, oid(1)],
      [`refs/${HASH}/result`, oid(2)],
      ['refs/heads/main', oid(3)],
    ],
    delete: [],
  })
  assert.equal(store.get('refs/heads/main'), oid(3))
  assert.equal(store.packageCount, 1)
  assert.equal(store.count(), 3)
  assert.equal(store.count(`refs/${HASH}/`), 2)
  assert.deepEqual([...store.packages()], [{ hash: HASH, narinfo: oid(1), result: oid(2) }])
  assert.equal(await exists(join(gitDir, 'packed-refs')), false)
  await store.update({ set: [], delete: ['refs/heads/main', 'refs/heads/none'] })
  assert.deepEqual(names(store), [`refs/${HASH}/narinfo`, `refs/${HASH}/result`])
  await store.close()
  await store.close()
  const packed = await PackedRefs.load(join(gitDir, 'packed-refs'))
  assert.deepEqual(
    [...packed.entries()].map(({ name }) => name),
    [`refs/${HASH}/narinfo`, `refs/${HASH}/result`],
  )
  assert.equal((await stat(join(gitDir, 'gachix'))).mode & 0o777, 0o700)
  await assert.rejects(store.update({ set: [], delete: [] }), { code: 'ERR_REF_STORE_CLOSED' })
  await assert.rejects(store.pack(), { code: 'ERR_REF_STORE_CLOSED' })
})

test('a list does not change while it is read', async (t) => {
  const store = await RefStore.open(await temporaryDirectory(t), NEVER)
  await store.update({
    set: [
      ['refs/heads/a', oid(1)],
      ['refs/heads/c', oid(1)],
    ],
    delete: [],
  })
  const list = store.list()[Symbol.iterator]()
  assert.equal(list.next().value?.name, 'refs/heads/a')
  await store.update({ set: [['refs/heads/b', oid(1)]], delete: ['refs/heads/c'] })
  await store.pack()
  assert.equal(list.next().value?.name, 'refs/heads/c')
  assert.equal(list.next().done, true)
  await store.close()
})

test('changes that cannot be stored are refused as a whole', async (t) => {
  const store = await RefStore.open(await temporaryDirectory(t), NEVER)
  await store.update({ set: [['refs/heads/a/b', oid(1)]], delete: [] })
  const bad: [set: [string, string][], remove: string[]][] = [
    [[['HEAD', oid(1)]], []],
    [[['refs/../x', oid(1)]], []],
    [[['refs/heads/x', 'xyz']], []],
    [
      [
        ['refs/heads/x', oid(1)],
        ['refs/heads/x', oid(2)],
      ],
      [],
    ],
    [[['refs/heads/x', oid(1)]], ['refs/heads/x']],
    [[], ['refs/x', 'refs/x']],
    [[], ['../x']],
    [[['refs/heads/a', oid(1)]], []],
    [[['refs/heads/a/b/c', oid(1)]], []],
    [
      [
        ['refs/n', oid(1)],
        ['refs/n/m', oid(1)],
      ],
      [],
    ],
  ]
  for (const [set, remove] of bad) {
    const batch = { set: [['refs/good', oid(1)] as [string, string], ...set], delete: remove }
    await assert.rejects(store.update(batch), { code: 'ERR_INVALID_REF_UPDATE' }, JSON.stringify(batch))
  }
  await store.update({ set: [['refs/heads/a', oid(1)]], delete: ['refs/heads/a/b'] })
  assert.deepEqual(names(store), ['refs/heads/a'])
  await store.close()
})

test('loose refs come before packed ones, and go when we change them', async (t) => {
  const gitDir = await temporaryDirectory(t)
  await writeFile(join(gitDir, 'packed-refs'), `${oid(1)} refs/heads/main\n${oid(1)} refs/${HASH}/narinfo\n`)
  await writeLoose(gitDir, 'refs/heads/main', `${oid(2)}\n`)
  await writeLoose(gitDir, 'refs/heads/other', `${oid(3)}\n`)
  await writeLoose(gitDir, `refs/${HASH}/result`, `${oid(4)}\n`)
  await writeLoose(gitDir, 'refs/heads/bad', 'bad\n')
  const store = await RefStore.open(gitDir, NEVER)
  assert.equal(store.get('refs/heads/main'), oid(2))
  assert.equal(store.count(), 4)
  assert.deepEqual(
    store.problems.map(({ name }) => name),
    ['refs/heads/bad'],
  )
  assert.deepEqual([...store.packages()], [{ hash: HASH, narinfo: oid(1), result: oid(4) }])
  await store.update({ set: [[`refs/${HASH}/result`, oid(5)]], delete: ['refs/heads/main'] })
  assert.equal(store.count(), 3)
  await store.pack()
  assert.equal(store.get('refs/heads/main'), undefined)
  assert.equal(store.get(`refs/${HASH}/result`), oid(5))
  assert.equal(await exists(join(gitDir, 'refs', HASH)), false)
  assert.equal(await exists(join(gitDir, 'refs/heads/main')), false)
  assert.equal(await readFile(join(gitDir, 'refs/heads/other'), 'latin1'), `${oid(3)}\n`)
  assert.deepEqual(names(store), [`refs/${HASH}/narinfo`, `refs/${HASH}/result`, 'refs/heads/other'])
  await store.close()
})

test('refresh sees what others did, and packing keeps it', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const store = await RefStore.open(gitDir, NEVER)
  await store.update({ set: [['refs/heads/ours', oid(1)]], delete: [] })
  assert.equal(await store.refresh(), false)
  await writeLoose(gitDir, 'refs/heads/loose', `${oid(2)}\n`)
  assert.equal(await store.refresh(), true)
  assert.equal(store.get('refs/heads/loose'), oid(2))
  await writeFile(join(gitDir, 'packed-refs'), `${oid(3)} refs/heads/theirs\n`)
  await store.pack()
  assert.equal(store.get('refs/heads/theirs'), oid(3))
  await unlink(join(gitDir, 'refs/heads/loose'))
  assert.equal(await store.refresh(), true)
  assert.equal(await store.refresh(), false)
  assert.deepEqual(names(store), ['refs/heads/ours', 'refs/heads/theirs'])
  await store.close()
})

test('a reader sees the journal beside its owner and changes nothing', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const owner = await RefStore.open(gitDir, NEVER)
  await owner.update({ set: [['refs/heads/a', oid(1)]], delete: [] })
  const reader = await RefStore.open(gitDir, { readOnly: true })
  assert.equal(reader.get('refs/heads/a'), oid(1))
  await owner.update({ set: [['refs/heads/b', oid(2)]], delete: ['refs/heads/a'] })
  assert.equal(await reader.refresh(), true)
  assert.deepEqual(names(reader), ['refs/heads/b'])
  await owner.pack()
  await reader.refresh()
  assert.deepEqual(names(reader), ['refs/heads/b'])
  assert.equal(await reader.refresh(), false)
  await assert.rejects(reader.update({ set: [], delete: [] }), { code: 'ERR_READ_ONLY' })
  await assert.rejects(reader.pack(), { code: 'ERR_READ_ONLY' })
  await reader.close()
  await owner.close()
  const empty = await temporaryDirectory(t)
  await (await RefStore.open(empty, { readOnly: true })).close()
  assert.equal(await exists(join(empty, 'gachix')), false)
})

test('small repositories are packed by themselves after a moment', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const store = await RefStore.open(gitDir, { packDelay: 5 })
  await store.update({ set: [['refs/heads/a', oid(1)]], delete: [] })
  const path = join(gitDir, 'packed-refs')
  while (!(await exists(path))) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal((await PackedRefs.load(path)).find('refs/heads/a'), oid(1))
  await store.close()
})

test('larger ones are packed when the journal has grown to a part of them', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const path = join(gitDir, 'packed-refs')
  const lines = Array.from({ length: 200 }, (_, i) => `${oid(1)} refs/heads/${1000 + i}\n`)
  await writeFile(path, lines.join(''))
  const store = await RefStore.open(gitDir, { packDelay: 0, smallPackedBytes: 0 })
  const before = (await stat(path)).ino
  let updates = 0
  while ((await stat(path)).ino === before) {
    await store.update({ set: [[`refs/heads/new${updates++}`, oid(2)]], delete: [] })
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  assert.ok(updates > 5, `packed after ${updates} updates`)
  await store.close()
})

test('a Git lock that stays costs nothing but the moment of packing', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const errors: unknown[] = []
  const store = await RefStore.open(gitDir, {
    ...NEVER,
    lockWait: 30,
    onError: (error) => errors.push(error),
  })
  await writeFile(join(gitDir, 'packed-refs.lock'), '')
  await store.update({ set: [['refs/heads/a', oid(1)]], delete: [] })
  await assert.rejects(store.pack(), { code: 'ERR_GIT_FILE_LOCKED' })
  await store.update({ set: [['refs/heads/b', oid(2)]], delete: [] })
  await assert.rejects(store.close(), { code: 'ERR_GIT_FILE_LOCKED' })
  const again = await RefStore.open(gitDir, {
    ...NEVER,
    lockWait: 30,
    onError: (error) => errors.push(error),
  })
  assert.equal(errors.length, 1)
  assert.deepEqual(names(again), ['refs/heads/a', 'refs/heads/b'])
  await rm(join(gitDir, 'packed-refs.lock'))
  await again.close()
  assert.equal((await PackedRefs.load(join(gitDir, 'packed-refs'))).count, 2)
})

test('concurrent updates, packs and readers agree', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const store = await RefStore.open(gitDir, { packDelay: 1 })
  const model = new Map<string, string>()
  const worker = async (worker: number): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      const name = `refs/heads/${worker}-${i}`
      await store.update({
        set: [[name, oid(i % 10)]],
        delete: i > 0 && i % 3 === 0 ? [`refs/heads/${worker}-${i - 1}`] : [],
      })
      model.set(name, oid(i % 10))
      if (i > 0 && i % 3 === 0) model.delete(`refs/heads/${worker}-${i - 1}`)
      assert.equal(store.get(name), oid(i % 10))
      if (i % 10 === worker) await store.pack()
      if (i % 10 === worker + 4) await store.refresh()
    }
  }
  await Promise.all([0, 1, 2, 3].map(worker))
  assert.equal(store.count(), model.size)
  await store.close()
  const packed = await PackedRefs.load(join(gitDir, 'packed-refs'))
  assert.deepEqual(
    new Map([...packed.entries()].map(({ name, oid: value }) => [name, value] as const)),
    new Map([...model].sort()),
  )
})

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('update' as const),
      changes: fc.uniqueArray(fc.tuple(refNames, fc.option(oids, { nil: undefined, freq: 3 })), {
        maxLength: 6,
        selector: ([name]) => name,
      }),
    }),
  },
  { weight: 2, arbitrary: fc.constantFrom({ kind: 'pack' as const }, { kind: 'refresh' as const }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: 'reopen' as const }, { kind: 'crash' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('loose' as const), name: refNames, oid: oids }) },
)

test('behaves like a map through updates, packs, crashes and refs that Git writes', async (t) => {
  const root = await temporaryDirectory(t)
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
      const gitDir = join(root, String(run++))
      await mkdir(gitDir)
      const copy = `${gitDir}-copy`
      const model = new Map<string, string>()
      let store = await RefStore.open(gitDir, NEVER)
      for (const action of steps) {
        if (action.kind === 'update') {
          const set: [string, string][] = []
          const remove: string[] = []
          for (const [name, value] of action.changes) {
            if (value === undefined) remove.push(name)
            else set.push([name, value])
          }
          await store.update({ set, delete: remove })
          for (const name of remove) model.delete(name)
          for (const [name, value] of set) model.set(name, value)
        } else if (action.kind === 'pack') {
          await store.pack()
        } else if (action.kind === 'refresh') {
          await store.refresh()
        } else if (action.kind === 'loose') {
          // What we have in hand for a ref and have not packed is newer than what Git writes meanwhile.
          await store.pack()
          await writeLoose(gitDir, action.name, `${action.oid}\n`)
          await store.refresh()
          model.set(action.name, action.oid)
        } else {
          if (action.kind === 'reopen') await store.close()
          const crashed = store
          const left = await copyOf(gitDir, copy)
          if (action.kind === 'crash') await crashed.close()
          await copyOf(left, gitDir)
          store = await RefStore.open(gitDir, NEVER)
        }
        const sorted = [...model].sort(([a], [b]) => compareRefNames(a, b))
        assert.deepEqual(
          [...store.list()].map(({ name, oid: value }) => [name, value]),
          sorted,
        )
        assert.equal(store.count(), sorted.length)
        assert.equal(store.packageCount, [...store.packages()].length)
        for (const [name, value] of sorted) assert.equal(store.get(name), value)
        const reader = await RefStore.open(gitDir, { readOnly: true })
        assert.deepEqual([...reader.list()], [...store.list()])
      }
      await store.close()
      await rm(gitDir, { recursive: true })
    }),
    { numRuns: 60 },
  )
})
