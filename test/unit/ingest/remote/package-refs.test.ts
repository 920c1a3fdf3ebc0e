import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { packagesOf, RememberedPackages } from '../../../../src/ingest/remote/package-refs.ts'
import type { RemotePackage } from '../../../../src/store/api.ts'

const nix32 = fc.string({
  unit: fc.constantFrom(...'0123456789abcdfghijklmnpqrsvwxyz'),
  minLength: 32,
  maxLength: 32,
})
const oid = fc.string({ unit: fc.constantFrom(...'123456789abcdef'), minLength: 40, maxLength: 40 })
const packages = fc
  .uniqueArray(fc.record({ hash: nix32, narinfo: oid, commit: fc.option(oid, { nil: undefined }) }), {
    selector: ({ hash }) => hash,
    maxLength: 50,
  })
  .map((list) =>
    list
      .map(
        ({ hash, narinfo, commit }): RemotePackage => ({
          hash,
          narinfo,
          ...(commit === undefined ? {} : { commit }),
        }),
      )
      .sort((a, b) => (a.hash < b.hash ? -1 : 1)),
  )

async function* refsOf(list: readonly RemotePackage[]) {
  yield { name: 'HEAD', oid: '0'.repeat(40) }
  for (const { hash, narinfo, commit } of list) {
    yield { name: `refs/${hash}/narinfo`, oid: narinfo }
    if (commit !== undefined) yield { name: `refs/${hash}/result`, oid: commit }
    else yield { name: `refs/${hash}/tree`, oid: '1'.repeat(40) }
  }
  // Not published: there is no narinfo.
  yield { name: `refs/${'z'.repeat(31)}0/result`, oid: '2'.repeat(40) }
  yield { name: 'refs/zzz', oid: '3'.repeat(40) }
}

test('packages are what has a narinfo, remembered as they came', async () => {
  await fc.assert(
    fc.asyncProperty(packages, async (list) => {
      assert.deepEqual(await Array.fromAsync(packagesOf(refsOf(list))), list)
      const remembered = await RememberedPackages.read(refsOf(list))
      assert.equal(remembered.size, list.length)
      assert.deepEqual([...remembered], list)
      for (const each of list) assert.deepEqual(remembered.get(each.hash), each)
      assert.equal(remembered.get('q'.repeat(32)), undefined)
    }),
  )
})

test('thousands are remembered, but not more than the limit, and only in order', async () => {
  const digits = '0123456789abcdfghijklmnpqrsvwxyz'
  const list = Array.from({ length: 5000 }, (_, i) => ({
    hash: [10, 5, 0]
      .map((shift) => digits[(i >> shift) & 31])
      .join('')
      .padStart(32, '0'),
    narinfo: '1'.repeat(40),
  }))
  const remembered = await RememberedPackages.read(refsOf(list))
  assert.deepEqual([...remembered], list)
  assert.deepEqual(remembered.get(list[4321]!.hash), list[4321])
  await assert.rejects(RememberedPackages.read(refsOf(list), 4999), /more than 4999 packages/)
  await assert.rejects(RememberedPackages.read(refsOf([list[1]!, list[0]!])), /out of order/)
})
