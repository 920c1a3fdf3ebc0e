/** `packed-refs`: searching agrees with listing, and what a merge writes is read back. */
import assert from 'node:assert/strict'
import { PackedRefs } from '../../../src/git/refs/packed-refs.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const OID = '0123456789abcdef0123456789abcdef01234567'
const OTHER = 'f'.repeat(40)
const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
const ADDED = `refs/${HASH}/narinfo`

export const target: FuzzTarget = {
  name: 'packed-refs',
  tokens: [
    ...[
      '# pack-refs with: peeled fully-peeled sorted \n',
      '# pack-refs with:',
      ' sorted',
      '\n',
      '\r\n',
      ' ',
      '^',
      '#',
    ],
    ...[`${OID} `, `^${OID}\n`, `${OID} refs/heads/main\n`, `${OID} refs/${HASH}/result\n`, 'refs/'],
  ],

  seeds: () =>
    [
      '',
      '# pack-refs with: peeled fully-peeled sorted \n',
      `# pack-refs with: peeled fully-peeled sorted \n${OID} refs/0aaa/narinfo\n${OID} refs/${HASH}/narinfo\n${OID} refs/${HASH}/result\n` +
        `${OID} refs/heads/main\n${OID} refs/tags/v1\n^${OTHER}\n${OID} refs/tags/v2\n`,
      `${OID} refs/heads/b\n${OID} refs/heads/a\n^${OTHER}\n`,
    ].map((text) => Buffer.from(text)),

  run(data) {
    const before = Buffer.from(data)
    const refs = PackedRefs.parse(data)
    assert.ok(data.equals(before), 'the input is not changed')
    const names = check(refs)
    const changes = new Map<string, string | undefined>([[ADDED, OTHER]])
    for (const name of names.slice(0, 2)) if (name !== ADDED) changes.set(name, undefined)
    const merged = refs.merge(changes)
    const again = PackedRefs.parse(merged.bytes)
    assert.equal(again.count, merged.count)
    assert.equal(again.packageCount, merged.packageCount)
    for (const [name, oid] of changes) assert.equal(again.find(name), oid)
    check(again)
  },
}

/** Compares listing and searching; returns the names that can be asked for. */
function check(refs: PackedRefs): string[] {
  const entries = [...refs.entries()]
  assert.equal(entries.length, refs.count)
  // names that are not UTF-8 cannot be asked for, and may come out equal
  const names = entries.filter(({ name }) => !name.includes('\ufffd'))
  for (const { name, oid } of names) {
    assert.equal(refs.find(name), oid)
    assert.ok(refs.has(name))
  }
  const found = [...refs.entries('refs/')]
  assert.equal(found.length, refs.countPrefix('refs/'))
  assert.equal(refs.find('refs/heads/there is no such'), undefined)
  if (entries.some(({ oid }) => oid.length !== 40)) throw new GachixError('ERR_FUZZ', 'not an id')
  return names.map(({ name }) => name)
}
