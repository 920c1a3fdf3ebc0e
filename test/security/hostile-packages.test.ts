/** Objects that are sound to Git and are not the package that they are announced as. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { packageCommit } from '../../src/store/package-commit.ts'
import type { GitPackageStore } from '../../src/store/package-store.ts'
import { addAll } from '../support/merging-store.ts'
import { directory, file, type MadePackage, makePackage, symlink } from '../support/packages.ts'
import { run } from '../support/process.ts'
import { discard, folderFor, quietStore, ROOMY, Sender, sent, snapshot } from '../support/quarantine.ts'

/** An entry as a tree object has it. */
type Entry = readonly [mode: string, name: string | Buffer, oid: string]

const LIBRARY = makePackage('library', directory({ 'lib.so': file('code') }))
const OTHER = makePackage('other', directory({ other: file('else') }))
const PACKAGE = makePackage('victim', directory({ a: file('A'), b: file('B', true), c: symlink('a') }), [
  'library',
])

let store: GitPackageStore
let untouched: Map<string, string>
let attacker: Sender
let blob: string
let library: string
let other: string
let number = 0

before(async () => {
  store = await quietStore([LIBRARY, OTHER])
  untouched = await snapshot(store)
  library = commitIn(store, LIBRARY)
  other = commitIn(store, OTHER)
})
after(() => discard(store))

function commitIn(from: GitPackageStore, { info }: MadePackage): string {
  const entry = [...from.entries()].find(({ hash }) => hash === info.storePath.hash)
  assert.ok(entry?.commit)
  return entry.commit
}

/** Writes an object whatever it holds. */
function write(type: string, data: Uint8Array): Promise<string> {
  return attacker.line(['hash-object', '-t', type, '-w', '--stdin', '--literally'], data)
}

function treeOf(entries: readonly Entry[]): Buffer {
  return Buffer.concat(
    entries.map(([mode, name, oid]) =>
      Buffer.concat([Buffer.from(`${mode} `), Buffer.from(name), Buffer.from([0]), Buffer.from(oid, 'hex')]),
    ),
  )
}

/** Announces a commit and has it refused. */
async function refused(
  announced: string,
  code: string,
  pattern: RegExp,
  info = PACKAGE.info,
  options: { proveContentAddress?: boolean } = {},
): Promise<void> {
  const objects = await attacker.git(['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'])
  const pack = await attacker.git(['pack-objects', '--quiet', '--stdout'], objects)
  const quarantine = await store.quarantine(`attacker ${number++}`)
  await quarantine.receive(sent(pack), ROOMY)
  await assert.rejects(quarantine.admit(info, announced, options), { code, message: pattern })
  await quarantine.publish()
  await quarantine.close()
  assert.deepEqual(await snapshot(store), untouched, 'the repository is as it was')
  assert.ok(!store.has(info.storePath.hash))
}

/** The commit that the victim's facts make of a tree. */
async function commitOf(tree: string, parents = [library], info = PACKAGE.info): Promise<string> {
  return await write('commit', packageCommit(info.storePath, tree, parents))
}

async function startAttack(t: import('node:test').TestContext): Promise<void> {
  attacker = new Sender(await folderFor(t))
  await run('git', ['init', '--quiet', '--bare', attacker.path])
  blob = await write('blob', Buffer.from('A'))
}

describe('trees that are no package', () => {
  const trees: [string, () => Entry[], RegExp][] = [
    ['".."', () => [['100644', '..', blob]], /directory link/],
    ['"."', () => [['100644', '.', blob]], /directory link/],
    ['an empty name', () => [['100644', '', blob]], /without a name/],
    ['"/" in a name', () => [['100644', 'a/b', blob]], /"\/" or NUL/],
    ['".git"', () => [['100644', '.git', blob]], /not the tree that gachix writes/],
    ['".GIT" as a folder of NTFS', () => [['100644', 'GIT~1', blob]], /not the tree that gachix writes/],
    ['an escape of a name that needs none', () => [['100644', 'gachix-name-61', blob]], /not the tree/],
    [
      'an escape of ".."',
      () => [['100644', `gachix-name-${Buffer.from('..').toString('hex')}`, blob]],
      /not the tree/,
    ],
    [
      'a name twice',
      () => [
        ['100644', 'a', blob],
        ['100644', 'a', blob],
      ],
      /twice/,
    ],
    [
      'a name as file and as directory',
      () => [
        ['100644', 'a', blob],
        ['100644', 'a.b', blob],
        ['40000', 'a', blob],
      ],
      /twice/,
    ],
    [
      'names out of order',
      () => [
        ['100644', 'b', blob],
        ['100644', 'a', blob],
      ],
      /out of order/,
    ],
    ['an old mode', () => [['100664', 'a', blob]], /not the tree that gachix writes/],
    ['a mode with a zero before it', () => [['040000', 'a', blob]], /unknown mode/],
    ['an odd mode', () => [['100600', 'a', blob]], /unknown mode/],
    ['a submodule', () => [['160000', 'a', blob]], /mode 160000/],
    ['a long name', () => [['100644', 'a'.repeat(256), blob]], /has an entry/],
    [
      'a link to nowhere',
      () => [['120000', 'a', 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391']],
      /no usable target/,
    ],
    ['a directory that is a file', () => [['40000', 'a', blob]], /is a blob/],
  ]
  for (const [name, entries, pattern] of trees) {
    it(name, async (t) => {
      await startAttack(t)
      await write('blob', Buffer.alloc(0))
      await refused(await commitOf(await write('tree', treeOf(entries()))), 'ERR_TREE_NOT_PACKAGE', pattern)
    })
  }

  it('a file that is a tree, and one in the tree that is missing', async (t) => {
    await startAttack(t)
    const empty = await write('tree', Buffer.alloc(0))
    const commit = await commitOf(await write('tree', treeOf([['100644', 'a', empty]])))
    await refused(commit, 'ERR_TREE_NOT_PACKAGE', /is a tree/)
    const lacking = await commitOf(await write('tree', treeOf([['100644', 'a', '1'.repeat(40)]])))
    await refused(lacking, 'ERR_GIT_OBJECT_NOT_FOUND', /1{40}/)
  })

  it('folders in folders, too deep', async (t) => {
    await startAttack(t)
    let tree = await write('tree', Buffer.alloc(0))
    for (let depth = 0; depth < 70; depth++) tree = await write('tree', treeOf([['40000', 'd', tree]]))
    const info = { ...PACKAGE.info, narSize: 1_000_000 }
    await refused(await commitOf(tree), 'ERR_TREE_NOT_PACKAGE', /deeper than 63/, info)
  })

  it('a tree that unfolds to 2^40 files', async (t) => {
    await startAttack(t)
    let tree = await write('tree', treeOf([['100644', 'a', blob]]))
    for (let depth = 0; depth < 40; depth++)
      tree = await write(
        'tree',
        treeOf([
          ['40000', 'a', tree],
          ['40000', 'b', tree],
        ]),
      )
    const commit = await commitOf(tree)
    await refused(commit, 'ERR_NAR_MISMATCH', /more than/)
    const quarantine = await store.quarantine('unfolding')
    const objects = await attacker.git(['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'])
    await quarantine.receive(sent(await attacker.git(['pack-objects', '-q', '--stdout'], objects)), ROOMY)
    assert.deepEqual(await quarantine.missingBlobs(tree), [])
    await quarantine.close()
  })
})

describe('packages that are not what is signed', () => {
  async function honest(t: import('node:test').TestContext): Promise<string> {
    await startAttack(t)
    const contents = await write('blob', Buffer.from('B'))
    const link = await write('blob', Buffer.from('a'))
    return await write(
      'tree',
      treeOf([
        ['100644', 'a', blob],
        ['100755', 'b', contents],
        ['120000', 'c', link],
      ]),
    )
  }

  it('other contents of the same length', async (t) => {
    await honest(t)
    const tree = await write(
      'tree',
      treeOf([
        ['100644', 'a', blob],
        ['100755', 'b', blob],
        ['120000', 'c', await write('blob', Buffer.from('a'))],
      ]),
    )
    await refused(await commitOf(tree), 'ERR_NAR_MISMATCH', /the hash/)
  })

  it('a NAR that is longer or shorter', async (t) => {
    const commit = await commitOf(await honest(t))
    for (const difference of [-8, 8, 1_000_000])
      await refused(commit, 'ERR_NAR_MISMATCH', /size/, {
        ...PACKAGE.info,
        narSize: PACKAGE.info.narSize + difference,
      })
  })

  it('commits with other parents than the references', async (t) => {
    const tree = await honest(t)
    for (const parents of [[], [other], [library, other], [other, library], [library, library]])
      await refused(await commitOf(tree, parents), 'ERR_COMMIT_MISMATCH', /parents/)
    const info = { ...PACKAGE.info, references: [] }
    await refused(await commitOf(tree), 'ERR_COMMIT_MISMATCH', /parents/, info)
  })

  it('commits by others, with another message, with more lines, or none at all', async (t) => {
    const tree = await honest(t)
    const text = packageCommit(PACKAGE.info.storePath, tree, [library]).toString()
    for (const changed of [
      text.replace('author gachix', 'author mallory'),
      text.replace('0 +0000\n\n', '1 +0000\n\n'),
      text.replace('victim', 'victor'),
      `${text}\n`,
      text.replace('\n\n', '\ngpgsig none\n\n'),
    ])
      await refused(
        await write('commit', Buffer.from(changed)),
        'ERR_COMMIT_MISMATCH',
        /author, committer or message/,
      )
    await refused(await write('commit', Buffer.from('tree none')), 'ERR_COMMIT_MISMATCH', /malformed|without/)
    await refused(tree, 'ERR_COMMIT_MISMATCH', /is a tree/)
  })

  it('references that nobody has proven', async (t) => {
    const tree = await honest(t)
    const missing = makePackage('missing', file('x'))
    const info = { ...PACKAGE.info, references: [LIBRARY.info.storePath, missing.info.storePath] }
    await refused(await commitOf(tree), 'ERR_MISSING_REFERENCE', /missing/, info)
  })

  it('unsigned packages without a content address, or with a wrong one', async (t) => {
    const commit = await commitOf(await honest(t))
    const options = { proveContentAddress: true }
    await refused(commit, 'ERR_CONTENT_ADDRESS_MISMATCH', /no content address/, PACKAGE.info, options)
    const info = { ...PACKAGE.info, ca: `fixed:r:sha256:${'0'.repeat(52)}` }
    await refused(commit, 'ERR_CONTENT_ADDRESS_MISMATCH', /path/, info, options)
  })

  it('and what is what it says is taken', async (t) => {
    const commit = await commitOf(await honest(t))
    const objects = await attacker.git(['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'])
    const fresh = await quietStore([LIBRARY])
    try {
      const quarantine = await fresh.quarantine('honest')
      await quarantine.receive(sent(await attacker.git(['pack-objects', '-q', '--stdout'], objects)), ROOMY)
      assert.equal(await quarantine.admit(PACKAGE.info, commit), 'added')
      assert.equal(await quarantine.admit(PACKAGE.info, commit), 'present')
      await quarantine.publish()
      await quarantine.close()
      assert.equal(commitIn(fresh, PACKAGE), commit)
      // A package added from its NAR has the same commit.
      const twin = await quietStore([LIBRARY, PACKAGE])
      assert.equal(commitIn(twin, PACKAGE), commit)
      await addAll(twin, [PACKAGE])
      await discard(twin)
    } finally {
      await discard(fresh)
    }
  })
})
