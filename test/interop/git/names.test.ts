import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { collect } from '../../support/collect.ts'
import type { NarTree } from '../../support/nar-tree.ts'
import { chunksOf, directory, file, makePackage, symlink } from '../../support/packages.ts'
import { run } from '../../support/process.ts'

/** Names that Git, NTFS or HFS+ take for something of their own come back byte for byte, and `git fsck` finds no fault. */
describe('odd names beside git fsck --strict', () => {
  /** Stores a NAR with this content in a new repository, reads it back and has git check the repository. */
  async function check(contents: NarTree): Promise<void> {
    const root = await mkdtemp(join(tmpdir(), 'gachix-names-'))
    const path = join(root, 'repository')
    const store = await GitPackageStore.open({ path })
    try {
      await roundTrip(store, contents)
    } finally {
      await store.close()
    }
    await run('git', ['-C', path, 'fsck', '--strict', '--full'])
    await rm(root, { recursive: true, force: true })
  }

  async function roundTrip(store: GitPackageStore, contents: NarTree): Promise<void> {
    const { info, nar } = makePackage('names', contents)
    const session = store.ingest()
    await session.add(info, chunksOf(nar))
    await session.finish()
    const stored = await store.package(info.storePath.hash)
    assert.ok(stored)
    const body = await store.openNar(stored.tree, 'none')
    assert.ok(body)
    assert.ok((await collect(body.read())).equals(nar), 'the NAR came back otherwise')
    const listing = JSON.parse((await store.listing(info.storePath.hash))!)
    assert.equal(listing.version, 1)
  }

  it('any mixture of nasty names, as files, links and directories', async () => {
    await fc.assert(
      fc.asyncProperty(contents, async (tree) => {
        await check(tree)
      }),
      { numRuns: 40 },
    )
  })

  it('a link to .gitmodules behind a backslash', () => check(directory({ 'a\\.gitmodules': symlink('b') })))

  it('a directory named .gitattributes', () =>
    check(
      directory({ '.gitattributes': directory({}), '.gitignore': directory({}), '.mailmap': directory({}) }),
    ))

  it('links named .gitattributes and the like', () =>
    check(
      directory({ '.gitattributes': symlink('a'), '.gitignore': symlink('a'), '.mailmap': symlink('a') }),
    ))

  it('a .git that goes on with what is no UTF-8, where git sees its end', async () => {
    for (const tail of [[0xff], [0xc3, 0x78], [0xed, 0xa0, 0x80], [0xef, 0xbf, 0xbe, 0x78], [0xc0, 0xaf]]) {
      const name = Buffer.from([...Buffer.from('.git'), ...tail]).toString('base64')
      await check({ type: 'directory', entries: [{ name, node: file('x') }] })
    }
  })

  it('a .gitmodules that cannot be parsed', () => check(directory({ '.gitmodules': file('\0[[[\n=') })))

  // Git reads these two files and finds fault with what it reads (SHORTCOMINGS.md): the names stay as they are, so
  // that ids are those of the original gachix, and the contents come back byte for byte all the same.
  it('gives back a .gitmodules and .gitattributes whose contents git refuses', async () => {
    const modules = '[submodule "../../x"]\n\tpath = -x\n\turl = --upload-pack=touch\n\tupdate = !sh\n'
    const contents = directory({
      '.gitmodules': file(modules),
      '.gitattributes': file('*'.repeat(5000)),
      'GITATT~1': file('x'.repeat(5000)),
    })
    const root = await mkdtemp(join(tmpdir(), 'gachix-names-'))
    const store = await GitPackageStore.open({ path: join(root, 'repository') })
    try {
      await roundTrip(store, contents)
    } finally {
      await store.close()
      await rm(root, { recursive: true, force: true })
    }
  })

  it('a name that is as long as names get and begins with the escape', () =>
    check(
      directory({ [`gachix-name-${'a'.repeat(243)}`]: file('x'), [`.git${'.'.repeat(251)}`]: file('y') }),
    ))
})

const IGNORED = ['\u200c', '\u200d', '\u200f', '\u202a', '\u202e', '\u206a', '\u206f', '\ufeff']
const STEMS = [
  '.git',
  'git~1',
  '.gitmodules',
  'gitmod~1',
  'gitmod~4',
  'gitmod~5',
  'gi7eba~1',
  'gi7eb~10',
  'gi7e~123',
  '~1234567',
  'g~123456',
  'gi7d29~1',
  '.gitattributes',
  '.gitignore',
  '.mailmap',
  'gitatt~1',
  'gachix-name-',
  'gachix-name-2e676974',
  'gachix-single-file',
  'HEAD',
  '.',
  '..',
  'con',
  '.gi',
  '\\',
  '\\.git',
  'a\\git~1',
  'a\\.gitmodules',
  '\\\\.git\\',
]
const TAILS = [
  '',
  '',
  ' ',
  '.',
  '. .',
  ':',
  '::$INDEX_ALLOCATION',
  ': x',
  '\\',
  '\\x',
  'x',
  '\n',
  '\xff',
  '\u0130',
  '\ufffd',
  '/'.replace('/', '\u2215'),
]

const name = fc
  .tuple(
    fc.constantFrom(...STEMS),
    fc.constantFrom(...TAILS),
    fc.constantFrom('', '', ...IGNORED),
    fc.nat({ max: 12 }),
    fc.nat({ max: 0xfff }),
    fc.constantFrom<BufferEncoding>('utf8', 'utf8', 'latin1'),
  )
  .map(([stem, tail, ignored, at, cases, encoding]) => {
    const text = [...stem].map((c, i) => ((cases >> i) & 1 ? c.toUpperCase() : c)).join('')
    return Buffer.from(text.slice(0, at) + ignored + text.slice(at) + tail, encoding)
  })
  .filter((bytes) => bytes.length > 0 && bytes.length <= 255 && !bytes.includes(0) && !bytes.includes(0x2f))
  .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')))

const leaf: fc.Arbitrary<NarTree> = fc.oneof(
  fc.constantFrom('', 'x', 'other').map((text) => file(text)),
  fc.constant(file('x', true)),
  fc.constantFrom('.git', 'x').map(symlink),
  fc.constant(directory({})),
)

const directoryOf = (child: fc.Arbitrary<NarTree>): fc.Arbitrary<NarTree> =>
  fc
    .uniqueArray(fc.tuple(name, child), { maxLength: 12, selector: ([bytes]) => bytes.toString('hex') })
    .map((entries) => ({
      type: 'directory',
      entries: entries
        .toSorted(([a], [b]) => Buffer.compare(a, b))
        .map(([bytes, node]) => ({ name: bytes.toString('base64'), node })),
    }))

const contents = directoryOf(
  fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: directoryOf(leaf) }),
)
