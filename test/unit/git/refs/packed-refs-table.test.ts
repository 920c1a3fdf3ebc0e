/** Packages' refs in rows, and all other lines as they are: one file again, wherever it is cut. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { groupPackages, isNarinfoRef } from '../../../../src/git/refs/package-refs.ts'
import { PackedRefs } from '../../../../src/git/refs/packed-refs.ts'
import { PackedRefsScanner } from '../../../../src/git/refs/packed-refs-scan.ts'
import { compareRefNames } from '../../../../src/git/refs/ref-name.ts'
import { RefView } from '../../../../src/git/refs/ref-view.ts'
import { unpackHashes } from '../../../../src/peers/hashes.ts'
import { hashes, oid, oids, refNames, temporaryDirectory } from './arbitraries.ts'

const HEADER = '# pack-refs with: peeled fully-peeled sorted \n'

/** Lines of all kinds, some of which no row can stand for. */
const lines = fc
  .uniqueArray(
    fc.tuple(
      fc.oneof(
        refNames,
        fc
          .tuple(hashes, fc.constantFrom('narinfo', 'p', 'result', 'result.x'))
          .map(([hash, kind]) => `refs/${hash}/${kind}`),
      ),
      fc.oneof(oids, fc.constant('0'.repeat(40))),
      fc.boolean(),
    ),
    { selector: ([name]) => name, maxLength: 40 },
  )
  .map((refs) => refs.sort(([a], [b]) => compareRefNames(a, b)))

test('a file of lines of all kinds comes back, in whatever pieces it came', () => {
  fc.assert(
    fc.property(lines, fc.array(fc.nat(200), { maxLength: 30 }), refNames, oids, (refs, cuts, name, id) => {
      const text = refs.map(([ref, value, peeled]) => `${value} ${ref}\n${peeled ? `^${id}\n` : ''}`).join('')
      const file = Buffer.from(HEADER + text)
      const whole = PackedRefs.parse(file)
      assert.equal(whole.bytes.toString(), file.toString())
      assert.equal(whole.length, file.length)
      assert.deepEqual(
        [...whole.entries()],
        refs.map(([ref, value]) => ({ name: ref, oid: value })),
      )
      const scanner = new PackedRefsScanner('the file', 0)
      let taken = 0
      let end = 0
      for (const cut of cuts) {
        end = Math.min(file.length, end + cut)
        taken += scanner.add(file.subarray(taken, end), false)
      }
      scanner.add(file.subarray(taken), true)
      const scanned = scanner.finish()
      assert.ok(scanned !== undefined)
      assert.equal(scanned.packages.count + scanned.others.count, refs.length)

      for (const value of [id, undefined]) {
        const changed = whole.merge(new Map([[name, value]]))
        const left = refs.filter(([ref]) => ref !== name)
        const others = left.map(([ref, old, peeled]) => [ref, `${old} ${ref}\n${peeled ? `^${id}\n` : ''}`])
        if (value !== undefined) others.push([name, `${value} ${name}\n`])
        others.sort(([a], [b]) => compareRefNames(a!, b!))
        const body = changed.bytes.toString()
        assert.equal(body.slice(body.indexOf('\n') + 1), others.map(([, line]) => line).join(''))
        assert.equal(changed.length, changed.bytes.length)
        assert.deepEqual([...PackedRefs.parse(changed.bytes).entries()], [...changed.entries()])
      }
    }),
  )
})

test('hash parts in bytes are those of the packages with a commit, wherever their refs are', () => {
  const changes = fc.array(fc.tuple(refNames, fc.option(oids, { nil: undefined })), { maxLength: 20 })
  fc.assert(
    fc.property(lines, changes, changes, (refs, loose, recent) => {
      const sound = refs.filter(([, value]) => !/^0+$/.test(value))
      const packed = PackedRefs.parse(
        Buffer.from(HEADER + sound.map(([ref, value]) => `${value} ${ref}\n`).join('')),
      )
      const files = loose.filter((change): change is [string, string] => change[1] !== undefined)
      const view = new RefView(packed, new Map(files))
      for (const [name, value] of recent) view.apply(name, value)
      const expected = [...view.packages()]
        .filter(({ result }) => result !== undefined)
        .map(({ hash }) => hash)
      const found = unpackHashes(Buffer.concat([...view.packageHashes()]))
      assert.deepEqual(found.sort(), expected)
    }),
  )
})

test('a malformed object id of a package is reported with its line', () => {
  const [a, b] = ['a'.repeat(32), 'b'.repeat(32)]
  const refs = PackedRefs.parse(
    Buffer.from(
      `${HEADER}${oid(1)} refs/${a}/narinfo\n${oid(2)} refs/${a}/result\n${'x'.repeat(40)} refs/${b}/narinfo\n${oid(3)} refs/${b}/result\n`,
    ),
  )
  assert.equal(refs.packageCount, 2)
  assert.equal(refs.find(`refs/${b}/result`), oid(3))
  assert.throws(() => refs.find(`refs/${b}/narinfo`), { code: 'ERR_PACKED_REFS_MALFORMED', line: 4 })
  const mended = refs.merge(new Map([[`refs/${b}/narinfo`, oid(4)]]))
  assert.equal(mended.find(`refs/${b}/narinfo`), oid(4))
  assert.equal(mended.packageCount, 2)
  assert.equal(mended.count, 4)
})

test('a name that only looks like that of a package is another ref', () => {
  // The low byte of this letter is that of the digit 1.
  const name = `refs/${'\u0131'.repeat(32)}/narinfo`
  const refs = PackedRefs.parse(Buffer.from(`${HEADER}${oid(1)} refs/${'1'.repeat(32)}/narinfo\n`))
  assert.equal(refs.find(name), undefined)
  const both = refs.merge(new Map([[name, oid(2)]]))
  assert.deepEqual([both.count, both.packageCount, both.find(name)], [2, 1, oid(2)])
})

test('a large file is read in pieces, in order or not', async (t) => {
  const path = join(await temporaryDirectory(t), 'packed-refs')
  const digits = '0123456789abcdfghijklmnpqrsvwxyz'
  const names = Array.from({ length: 20_000 }, (_, number) => {
    const hash = Array.from({ length: 32 }, (_, i) => digits[(number >> (5 * (i % 3))) & 31]).join('')
    return `refs/${hash}/${number % 2 === 0 ? 'narinfo' : 'result'}`
  })
  const unique = [...new Set(names)].sort(compareRefNames)
  const line = (name: string, index: number): string => `${index.toString(16).padStart(40, '1')} ${name}\n`
  const expected = unique.map((name, index) => ({ name, oid: index.toString(16).padStart(40, '1') }))
  const ordered = unique.map(line)
  for (const content of [ordered, ordered.toReversed()]) {
    await writeFile(path, `# pack-refs with: peeled fully-peeled \n${content.join('')}`)
    assert.deepEqual([...(await PackedRefs.load(path)).entries()], expected)
  }
  const long = `${oid(1)} refs/heads/${'x'.repeat(3_000_000)}`
  await writeFile(path, `${HEADER}${long}\n`)
  assert.equal((await PackedRefs.load(path)).count, 1)
  await writeFile(path, HEADER + long)
  await assert.rejects(PackedRefs.load(path), { code: 'ERR_PACKED_REFS_MALFORMED', line: 2 })
})

test('packages come from the table as they do from the names of their refs', () => {
  fc.assert(
    fc.property(lines, (refs) => {
      const packages = refs.filter(([name]) => isNarinfoRef(name) || /\/result$/.test(name))
      const text = packages.map(([name, value]) => `${value.replace(/^0+$/, '1'.repeat(40))} ${name}\n`)
      const read = PackedRefs.parse(Buffer.from(HEADER + text.join('')))
      assert.deepEqual([...read.packages()!], [...groupPackages(read.entries())])
    }),
  )
})
