import assert from 'node:assert/strict'
import { appendFile, copyFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { Journal, type RefBatch } from '../../../../src/git/refs/journal.ts'
import { encodeBatch, encodeRecord, JOURNAL_HEADER } from '../../../../src/git/refs/journal-format.ts'
import { JournalDamagedError, JournalFormatError } from '../../../../src/git/refs/ref-errors.ts'
import { oid, temporaryDirectory } from './arbitraries.ts'

type Change = [name: string, oid: string | undefined]

async function read(path: string): Promise<Change[]> {
  const changes: Change[] = []
  const journal = await Journal.open(path, (name, value) => changes.push([name, value]))
  await journal.close()
  return changes
}

const set = (name: string, digit: number | string): RefBatch => ({ set: [[name, oid(digit)]], delete: [] })
const nothing = (): void => {}

/** A journal of three records, and where each ends. */
async function threeRecords(path: string): Promise<number[]> {
  const journal = await Journal.open(path, nothing)
  const ends: number[] = []
  for (const digit of [1, 2, 3]) {
    await journal.append(set(`refs/heads/${digit}`, digit))
    ends.push(journal.size)
  }
  await journal.close()
  return ends
}

test('what was appended is there after opening again', async (t) => {
  const path = join(await temporaryDirectory(t), 'journal')
  const journal = await Journal.open(path, nothing)
  assert.equal(journal.isEmpty, true)
  await journal.append({
    set: [
      ['refs/a', oid(1)],
      ['refs/ü', oid(2)],
    ],
    delete: ['refs/b'],
  })
  await journal.append({ set: [], delete: [] })
  await journal.append(set('refs/a', 3))
  await journal.close()
  assert.deepEqual(await read(path), [
    ['refs/b', undefined],
    ['refs/a', oid(1)],
    ['refs/ü', oid(2)],
    ['refs/a', oid(3)],
  ])
})

test('batches that wait together share a write and keep their order', async (t) => {
  const path = join(await temporaryDirectory(t), 'journal')
  const journal = await Journal.open(path, nothing)
  const done: number[] = []
  await Promise.all(
    Array.from({ length: 50 }, async (_, i) => {
      await journal.append(set(`refs/${i}`, i % 10))
      done.push(i)
    }),
  )
  assert.deepEqual(
    done,
    [...done].sort((a, b) => a - b),
  )
  assert.equal((await stat(path)).size, journal.size)
  await journal.close()
  assert.deepEqual(
    (await read(path)).map(([name]) => name),
    Array.from({ length: 50 }, (_, i) => `refs/${i}`),
  )
  const records = (await readFile(path)).toString('latin1').split('\xffGJ').length - 1
  assert.equal(records, 1)
})

test('reset empties it and what follows is kept', async (t) => {
  const path = join(await temporaryDirectory(t), 'journal')
  const journal = await Journal.open(path, nothing)
  await journal.append(set('refs/a', 1))
  await journal.reset()
  assert.equal(journal.isEmpty, true)
  await journal.append(set('refs/b', 2))
  await journal.close()
  assert.deepEqual(await read(path), [['refs/b', oid(2)]])
})

test('cut anywhere, the whole records before the cut are kept', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'journal')
  const ends = await threeRecords(path)
  const whole = await readFile(path)
  const cut = join(directory, 'cut')
  for (let length = 0; length <= whole.length; length++) {
    await writeFile(cut, whole.subarray(0, length))
    const kept = ends.filter((end) => end <= length).length
    assert.equal((await read(cut)).length, kept, `cut at ${length}`)
    const journal = await Journal.open(cut, nothing)
    await journal.append(set('refs/heads/new', 9))
    await journal.close()
    assert.deepEqual((await read(cut)).at(-1), ['refs/heads/new', oid(9)])
    assert.equal((await read(cut)).length, kept + 1)
  }
})

test('an unfinished last record of zeros or noise is cut off', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'journal')
  await threeRecords(path)
  for (const tail of [
    Buffer.alloc(5000),
    Buffer.alloc(3_000_000, 0xff),
    Buffer.from('\xffGJ\x01\xff\xff\xff\xff', 'latin1'),
  ]) {
    const torn = join(directory, 'torn')
    await copyFile(path, torn)
    await appendFile(torn, tail)
    assert.equal((await read(torn)).length, 3)
    assert.equal((await stat(torn)).size, (await stat(path)).size)
  }
})

test('damage before intact records is an error that says what to do', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'journal')
  const ends = await threeRecords(path)
  const whole = await readFile(path)
  for (let at = JOURNAL_HEADER.length; at < ends[1]!; at++) {
    const bytes = Buffer.from(whole)
    bytes[at]! ^= 0x10
    await writeFile(path, bytes)
    const offset = at < ends[0]! ? JOURNAL_HEADER.length : ends[0]!
    await assert.rejects(read(path), (error: unknown) => {
      assert.ok(error instanceof JournalDamagedError)
      assert.equal(error.offset, offset)
      assert.ok(error.message.includes(`truncate -s ${offset} ${path}`))
      return true
    })
    assert.deepEqual(await readFile(path), bytes)
  }
})

test('a file of another kind is refused and left alone', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'journal')
  const odd = encodeRecord([Buffer.from(`${oid(1)} HEAD\n`)])
  const binary = encodeRecord([encodeBatch(set('refs/a', 1)), Buffer.from('x')])
  for (const bytes of [
    Buffer.from('something else entirely\n'),
    ...[odd, binary].map((r) => Buffer.concat([JOURNAL_HEADER, r])),
  ]) {
    await writeFile(path, bytes)
    await assert.rejects(read(path), JournalFormatError)
    assert.deepEqual(await readFile(path), bytes)
  }
})

test('mutated journals are refused or read as a beginning of what was written', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'journal')
  await threeRecords(path)
  const whole = await readFile(path)
  const written = await read(path)
  const edit = fc.record({
    at: fc.nat(whole.length - 1),
    remove: fc.nat(80),
    insert: fc.uint8Array({ maxLength: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 2 }), async (edits) => {
      let bytes: Buffer = whole
      for (const { at, remove, insert } of edits) {
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
      }
      await writeFile(path, bytes)
      try {
        const changes = await read(path)
        // Whole records can be cut out without a trace; none can be made up.
        for (const change of changes)
          assert.ok(written.some(([name, value]) => name === change[0] && value === change[1]))
      } catch (error) {
        if (!(error instanceof JournalDamagedError || error instanceof JournalFormatError)) throw error
      }
    }),
    { numRuns: 200 },
  )
})
