import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { isNarinfoRef } from '../../../../src/git/refs/package-refs.ts'
import { PackedRefs } from '../../../../src/git/refs/packed-refs.ts'
import { writePackedRefsFile } from '../../../../src/git/refs/packed-refs-file.ts'
import { PackedRefsError } from '../../../../src/git/refs/ref-errors.ts'
import { compareRefNames } from '../../../../src/git/refs/ref-name.ts'
import { oid, oids, refNames, temporaryDirectory } from './arbitraries.ts'

const HEADER = '# pack-refs with: peeled fully-peeled sorted \n'
const parse = (text: string): PackedRefs => PackedRefs.parse(Buffer.from(text), 'the file')

test('finds refs and lists them in order', () => {
  const refs = parse(
    `${HEADER}${oid(1)} refs/heads/a\n${oid(2)} refs/tags/v1\n^${oid(3)}\n${oid(4)} refs/tags/v10\n`,
  )
  assert.equal(refs.count, 3)
  assert.equal(refs.find('refs/heads/a'), oid(1))
  assert.equal(refs.find('refs/tags/v1'), oid(2))
  assert.equal(refs.find('refs/tags/v10'), oid(4))
  for (const name of ['refs/heads', 'refs/heads/', 'refs/heads/aa', 'refs/tags/v', 'refs/tags/v2', '', 'z']) {
    assert.equal(refs.find(name), undefined, name)
    assert.equal(refs.has(name), false)
  }
  assert.deepEqual(
    [...refs.entries('refs/tags/')].map(({ name }) => name),
    ['refs/tags/v1', 'refs/tags/v10'],
  )
  assert.equal(refs.countPrefix('refs/tags/v1'), 2)
  assert.equal(refs.countPrefix('refs/u'), 0)
})

test('a missing, an empty and a header-only file have no refs', async (t) => {
  const directory = await temporaryDirectory(t)
  for (const refs of [await PackedRefs.load(join(directory, 'none')), parse(''), parse(HEADER)]) {
    assert.equal(refs.count, 0)
    assert.deepEqual([...refs.entries()], [])
    assert.equal(
      refs.merge(new Map([['refs/heads/x', oid(1)]])).bytes.toString(),
      `${HEADER}${oid(1)} refs/heads/x\n`,
    )
  }
})

test('a file that is not in order is sorted, with the targets of its tags', () => {
  for (const header of ['', '# pack-refs with: peeled \n', HEADER]) {
    const refs = parse(`${header}${oid(2)} refs/tags/v1\n^${oid(3)}\n${oid(1)} refs/heads/a\n`)
    assert.equal(refs.find('refs/heads/a'), oid(1))
    assert.equal(refs.find('refs/tags/v1'), oid(2))
    assert.match(refs.bytes.toString(), / sorted \n1+ refs\/heads\/a\n2+ refs\/tags\/v1\n\^3+\n$/)
  }
})

test('malformed lines are named', () => {
  const cases: [string, number][] = [
    [`${HEADER}${oid(1)} refs/a\nrubbish\n`, 3],
    [`${HEADER}${oid(1)} refs/a\n${oid(2)} refs/b`, 3],
    [`${oid(1)}\trefs/a\n`, 1],
    [`${oid(1)} \n`, 1],
    [`${HEADER}^${oid(1)}\n`, 2],
    [`${oid(1)} refs/a\n^${oid(1)}\n^${oid(1)}\n`, 3],
    [`${oid(1)} refs/a\n^${oid(1)}0\n`, 2],
    [`${oid(1)} refs/a\n\n`, 2],
    [`${oid(1)} refs/a\n${oid(2)} refs/a\n`, 2],
    [`${oid(1)} refs/b\n${oid(2)} refs/a\n${oid(2)} refs/b\n`, 3],
    [`${oid(1)} refs/a\n# comment\n`, 2],
    ['# pack-refs', 1],
  ]
  for (const [text, line] of cases) {
    assert.throws(
      () => parse(text),
      (error: unknown) =>
        error instanceof PackedRefsError &&
        error.line === line &&
        error.message.startsWith(`the file: line ${line}:`),
      text,
    )
  }
})

test('a malformed object id is reported when it is read, and hurts no other ref', () => {
  const refs = parse(`${HEADER}${oid(1)} refs/a\n${'x'.repeat(40)} refs/b\n`)
  assert.equal(refs.find('refs/a'), oid(1))
  assert.throws(() => refs.find('refs/b'), { code: 'ERR_PACKED_REFS_MALFORMED', line: 3 })
  assert.throws(() => [...refs.entries()], { code: 'ERR_PACKED_REFS_MALFORMED', line: 3 })
})

test('promises of tag targets are kept only where they hold', () => {
  const header = (base: PackedRefs, name: string): string | undefined =>
    base
      .merge(new Map([[name, oid(1)]]))
      .bytes.toString()
      .split('\n')[0]
  const full = parse(HEADER)
  assert.equal(header(full, 'refs/heads/main'), '# pack-refs with: peeled fully-peeled sorted ')
  assert.equal(header(full, `refs/${'a'.repeat(32)}/result`), '# pack-refs with: peeled fully-peeled sorted ')
  assert.equal(header(full, 'refs/remotes/x'), '# pack-refs with: peeled sorted ')
  assert.equal(header(full, 'refs/tags/x'), '# pack-refs with: sorted ')
  assert.equal(
    header(parse('# pack-refs with: peeled sorted \n'), 'refs/heads/x'),
    '# pack-refs with: peeled sorted ',
  )
  assert.equal(header(parse(`${oid(2)} refs/a\n`), 'refs/heads/x'), '# pack-refs with: sorted ')
})

test('behaves like a sorted map through any changes', () => {
  const change = fc.tuple(refNames, fc.option(oids, { nil: undefined }))
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 6 }),
      refNames,
      (batches, asked) => {
        const model = new Map<string, string>()
        let refs = parse('')
        for (const batch of batches) {
          const changes = new Map(batch)
          for (const [name, value] of changes) {
            if (value === undefined) model.delete(name)
            else model.set(name, value)
          }
          refs = refs.merge(changes)
        }
        const sorted = [...model]
          .sort(([a], [b]) => compareRefNames(a, b))
          .map(([name, value]) => ({ name, oid: value }))
        for (const read of [refs, PackedRefs.parse(refs.bytes)]) {
          assert.deepEqual([...read.entries()], sorted)
          assert.equal(read.count, sorted.length)
          assert.equal(read.packageCount, sorted.filter(({ name }) => isNarinfoRef(name)).length)
          for (const name of [...model.keys(), asked]) {
            assert.equal(read.find(name), model.get(name))
            const prefix = name.slice(0, 8)
            const below = sorted.filter((ref) => ref.name.startsWith(prefix))
            assert.deepEqual([...read.entries(prefix)], below)
            assert.equal(read.countPrefix(prefix), below.length)
          }
        }
      },
    ),
  )
})

test('damaged files are refused or read, nothing else', () => {
  const whole = Buffer.from(
    `${HEADER}${oid(1)} refs/heads/a\n${oid(2)} refs/tags/v1\n^${oid(3)}\n${oid(4)} refs/${'b'.repeat(32)}/narinfo\n`,
  )
  const edit = fc.record({
    at: fc.nat(whole.length - 1),
    remove: fc.nat(60),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.constantFrom('\n', '^', ' ', '#', '\r\n').map((s) => Buffer.from(s)),
    ),
  })
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      let bytes: Buffer = whole
      for (const { at, remove, insert } of edits) {
        bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
      }
      try {
        const refs = PackedRefs.parse(bytes)
        const merged = PackedRefs.parse(refs.merge(new Map([['refs/heads/new', oid(7)]])).bytes)
        assert.equal(merged.find('refs/heads/new'), oid(7))
        for (const { name, oid: value } of refs.entries()) {
          if (!name.includes('\ufffd')) assert.equal(refs.find(name), value)
        }
      } catch (error) {
        if (!(error instanceof PackedRefsError)) throw error
      }
    }),
    { numRuns: 500 },
  )
})

test('the file is replaced as a whole and keeps its permissions', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'packed-refs')
  await writeFile(path, '', { mode: 0o640 })
  const refs = parse('').merge(new Map([['refs/x', oid(1)]]))
  const version = await writePackedRefsFile(path, join(directory, 'new'), refs)
  const loaded = await PackedRefs.load(path)
  assert.equal(loaded.version, version)
  assert.equal(loaded.find('refs/x'), oid(1))
})
