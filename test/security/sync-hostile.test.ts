/**
 * Repositories that somebody wrote to deceive those who pull: everything is signed by a trusted key and sound to Git, but
 * does not belong together; or it never ends. Each is refused by name, publishes nothing, and leaves nothing large.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { contentAddressedPath, formatContentAddress } from '../../src/nix/content-address.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import { packageCommit } from '../../src/store/package-commit.ts'
import { storedNarInfo } from '../../src/store/stored-narinfo.ts'
import { errorCode } from '../../src/util/errors.ts'
import { storePathOf } from '../support/memory-source.ts'
import { directory, file, makePackage } from '../support/packages.ts'
import { folderFor, Sender } from '../support/quarantine.ts'
import { type Faults, publishTo, Replica, signedBy, TEAM_KEY, WatchedSource } from '../support/replica.ts'

const LIBRARY = makePackage('library', directory({ 'lib.so': file('code') }))
const OTHER = makePackage('other', directory({ other: file('else') }))
const VICTIM = makePackage('victim', directory({ a: file('A'), b: file('B', true) }), ['library', 'other'])
const { hash } = VICTIM.info.storePath
/** What may lie in quarantine after an attack on a package of a few bytes. */
const DISK = 64 * 1024 * 1024

/** A repository that had the victim as it is, to be written to. */
class Attacker extends Sender {
  static async begin(t: TestContext): Promise<Attacker> {
    const path = join(await folderFor(t), 'attacker')
    await publishTo(path, [LIBRARY, OTHER, VICTIM])
    return new Attacker(path)
  }

  write(type: string, data: Uint8Array): Promise<string> {
    return this.line(['hash-object', '-t', type, '-w', '--stdin', '--literally'], data)
  }

  tree(): Promise<string> {
    return this.line(['rev-parse', `refs/${hash}/result^{tree}`])
  }

  async parents(): Promise<string[]> {
    return (await this.line(['rev-parse', `refs/${hash}/result^@`])).split('\n')
  }

  /** Announces a package with a narinfo that the team has signed. */
  async announce(info: PathInfo, commit: string, tree: string, sign = true): Promise<void> {
    const narinfo = await this.write('blob', storedNarInfo(sign ? signedBy(info, TEAM_KEY) : info, tree))
    await this.line(['update-ref', `refs/${info.storePath.hash}/narinfo`, narinfo])
    await this.line(['update-ref', `refs/${info.storePath.hash}/result`, commit])
  }

  /** Announces the victim with another commit. */
  async replace(tree: string, parents: readonly string[]): Promise<void> {
    const commit = await this.write('commit', packageCommit(VICTIM.info.storePath, tree, [...parents]))
    await this.announce(VICTIM.info, commit, tree)
  }
}

interface Attack {
  readonly faults?: Faults
  /** Hash part of what is pulled. */
  readonly root?: string
}

/** Pulls from the attacker, and gives the code of the refusal, with its words. */
async function refusal(attacker: Attacker, { faults = {}, root = hash }: Attack = {}): Promise<string> {
  const source = new WatchedSource('attacker', attacker.path)
  Object.assign(source.faults, faults)
  const patience = { opening: 60_000, time: 1_000, bytes: 32 * 1024 }
  await using replica = await Replica.open([{ source, patience }])
  const memory = process.memoryUsage.rss()
  const error = await replica.puller.pull([root]).then(
    () => assert.fail('it was pulled'),
    (failure: unknown) => failure,
  )
  assert.ok(process.memoryUsage.rss() - memory < 200 << 20, 'memory is bound')
  assert.equal(replica.store.size, 0, 'nothing was published')
  assert.ok((await sizeOf(replica.store.gitDir)) < DISK, 'the disk is not filled')
  assert.match(String(error), /attacker|circle/, 'the source is named')
  return `${errorCode(error)} ${String(error)}`
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}

function entry(mode: string, name: string, oid: string): Buffer {
  return Buffer.concat([Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')])
}

describe('a narinfo that a trusted key has signed', () => {
  test('with other content', async (t) => {
    const attacker = await Attacker.begin(t)
    const blob = await attacker.write('blob', Buffer.from('C'))
    const tree = await attacker.write(
      'tree',
      Buffer.concat([entry('100644', 'a', blob), entry('100755', 'b', blob)]),
    )
    await attacker.replace(tree, await attacker.parents())
    assert.match(await refusal(attacker), /^ERR_NAR_MISMATCH .*victim/)
  })

  test('with more or fewer parents than references, or in another order', async (t) => {
    const attacker = await Attacker.begin(t)
    const [tree, parents] = [await attacker.tree(), await attacker.parents()]
    const own = await attacker.line(['rev-parse', `refs/${hash}/result`])
    for (const wrong of [
      [],
      parents.slice(1),
      parents.toReversed(),
      [...parents, own],
      [...parents, parents[0]!],
    ]) {
      await attacker.replace(tree, wrong)
      assert.match(await refusal(attacker), /^ERR_COMMIT_MISMATCH .*victim/)
    }
  })

  test('with other references than the commit has parents', async (t) => {
    const attacker = await Attacker.begin(t)
    const [tree, commit] = [await attacker.tree(), await attacker.line(['rev-parse', `refs/${hash}/result`])]
    await attacker.announce({ ...VICTIM.info, references: [LIBRARY.info.storePath] }, commit, tree)
    assert.match(await refusal(attacker), /^ERR_COMMIT_MISMATCH .*victim/)
  })

  test('of another package', async (t) => {
    const attacker = await Attacker.begin(t)
    const other = await attacker.line(['rev-parse', `refs/${OTHER.info.storePath.hash}/narinfo`])
    await attacker.line(['update-ref', `refs/${hash}/narinfo`, other])
    assert.match(await refusal(attacker), /^ERR_STORED_NARINFO .*it is that of .*other/)
  })

  test('whose path has the hash part of another', async (t) => {
    const attacker = await Attacker.begin(t)
    const commit = await attacker.line(['rev-parse', `refs/${hash}/result`])
    const twin = new StorePath(hash, 'twin')
    await attacker.announce({ ...VICTIM.info, storePath: twin }, commit, await attacker.tree())
    assert.match(await refusal(attacker), /^ERR_COMMIT_MISMATCH .*twin/)
  })

  test('that is larger than any', async (t) => {
    const attacker = await Attacker.begin(t)
    const narinfo = await attacker.write('blob', Buffer.alloc(3 * 1024 * 1024, 'Unknown: line\n'))
    await attacker.line(['update-ref', `refs/${hash}/narinfo`, narinfo])
    assert.match(await refusal(attacker), /^ERR_BUDGET_EXCEEDED .*more than the 2097152 allowed$/)
  })

  test('with thousands of references to what nobody has', async (t) => {
    const attacker = await Attacker.begin(t)
    const commit = await attacker.line(['rev-parse', `refs/${hash}/result`])
    const references = Array.from({ length: 5000 }, (_, i) => storePathOf(`nothing-${i}`))
    await attacker.announce({ ...VICTIM.info, references }, commit, await attacker.tree())
    assert.match(await refusal(attacker), /^ERR_PACKAGE_UNAVAILABLE /)
  })

  test('of a closure that is a circle', async (t) => {
    const attacker = await Attacker.begin(t)
    const library = LIBRARY.info.storePath.hash
    const [commit, tree] = await Promise.all([
      attacker.line(['rev-parse', `refs/${library}/result`]),
      attacker.line(['rev-parse', `refs/${library}/result^{tree}`]),
    ])
    await attacker.announce({ ...LIBRARY.info, references: [VICTIM.info.storePath] }, commit, tree)
    assert.match(await refusal(attacker), /^ERR_CLOSURE_INVALID .*-victim -> .*-library -> .*-victim/)
  })
})

describe('trees that no package has', () => {
  const trees: readonly [string, (blob: string) => readonly Buffer[]][] = [
    ['..', (blob) => [entry('100644', '..', blob)]],
    ['.git', (blob) => [entry('100644', '.git', blob)]],
    ['a slash', (blob) => [entry('100644', '../../etc/passwd', blob)]],
    ['a name twice', (blob) => [entry('100644', 'a', blob), entry('100644', 'a', blob)]],
    ['unsorted names', (blob) => [entry('100644', 'b', blob), entry('100644', 'a', blob)]],
    ['a submodule', (blob) => [entry('160000', 'a', blob)]],
  ]
  for (const [name, entries] of trees) {
    test(name, async (t) => {
      const attacker = await Attacker.begin(t)
      const blob = await attacker.write('blob', Buffer.from('A'))
      const tree = await attacker.write('tree', Buffer.concat(entries(blob)))
      await attacker.replace(tree, await attacker.parents())
      assert.match(await refusal(attacker), /^ERR_(TREE_NOT_PACKAGE|NAR_MISMATCH|TREE_INVALID) /)
    })
  }
})

test('content that does not make the path that it is announced under', async (t) => {
  const attacker = await Attacker.begin(t)
  const digest = createHash('sha256').update('something else').digest()
  const ca = { method: 'flat', hash: { algorithm: 'sha256', digest } } as const
  const storePath = contentAddressedPath(ca, 'source', [], '/nix/store')
  assert.ok(storePath)
  const info: PathInfo = { ...LIBRARY.info, storePath, ca: formatContentAddress(ca) }
  const tree = await attacker.line(['rev-parse', `refs/${LIBRARY.info.storePath.hash}/result^{tree}`])
  const commit = await attacker.write('commit', packageCommit(storePath, tree, []))
  await attacker.announce(info, commit, tree, false)
  assert.match(await refusal(attacker, { root: storePath.hash }), /^ERR_CONTENT_ADDRESS_MISMATCH .*source/)
})

describe('a pack', () => {
  /** Sends what `send` makes instead of contents. */
  const contents = (send: () => AsyncIterable<Uint8Array>): Attack => ({
    faults: { pack: (chunks, { omitBlobs }) => (omitBlobs ? send() : chunks) },
  })
  const start = Buffer.from('5041434b0000000200000003', 'hex')

  test('that never ends', async (t) => {
    async function* endless() {
      yield start
      for (;;) yield Buffer.alloc(65_536)
    }
    assert.match(
      await refusal(await Attacker.begin(t), contents(endless)),
      /^ERR_(PACK_INVALID|BUDGET_EXCEEDED) /,
    )
  })

  test('that trickles', async (t) => {
    async function* trickle() {
      for (const byte of start) {
        yield Buffer.of(byte)
        await delay(300)
      }
      for (;;) {
        yield Buffer.of(0x9f)
        await delay(300)
      }
    }
    const started = performance.now()
    assert.match(
      await refusal(await Attacker.begin(t), contents(trickle)),
      /^ERR_SOURCE_SLOW .*less than 32768 bytes/,
    )
    assert.ok(performance.now() - started < 20_000)
  })

  test('that never begins', async (t) => {
    async function* nothing() {
      await delay(600_000, undefined, { ref: false })
      yield start
    }
    assert.match(await refusal(await Attacker.begin(t), contents(nothing)), /^ERR_SOURCE_SLOW /)
  })
})
