import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { packageRef } from '../../src/git/refs/package-refs.ts'
import { parseHash } from '../../src/nix/hash.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { collect } from '../support/collect.ts'
import { type NarTree, writeNarTree } from '../support/nar-tree.ts'

interface Case {
  name: string
  storePath: string
  contents: NarTree
  references: string[]
  deriver: string | null
  signatures: string[]
  ca: string | null
  narHash: string
  narSize: number
  tree: string
  commit: string
  narinfo: string
  narinfoBlob: string
}

const file = new URL('../../protocol/vectors/repository/packages.json', import.meta.url)
const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Case[] }

function pathInfo(one: Case): PathInfo {
  return {
    storePath: StorePath.parse(one.storePath),
    narHash: parseHash(one.narHash),
    narSize: one.narSize,
    references: one.references.map((base) => StorePath.fromBaseName(base)),
    signatures: one.signatures,
    ...(one.deriver === null ? {} : { deriver: StorePath.fromBaseName(one.deriver) }),
    ...(one.ca === null ? {} : { ca: one.ca }),
  }
}

describe('the repository format', () => {
  let root: string
  let gitDir: string
  let store: GitPackageStore

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'gachix-vectors-'))
    gitDir = join(root, 'repository')
    store = await GitPackageStore.open({ path: gitDir })
    const session = store.ingest()
    await Promise.all(
      packages.map((one) =>
        session.add(
          pathInfo(one),
          (async function* () {
            yield writeNarTree(one.contents)
          })(),
        ),
      ),
    )
    await session.finish()
    await store.close()
  })
  after(() => rmSync(root, { recursive: true }))

  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', gitDir, ...args], { encoding: 'utf8' })

  it('has the NARs that the cases say', () => {
    for (const one of packages) {
      const nar = writeNarTree(one.contents)
      assert.equal(nar.length, one.narSize)
      assert.deepEqual(createHash('sha256').update(nar).digest(), Buffer.from(parseHash(one.narHash).digest))
    }
  })

  for (const one of packages) {
    it(`gives the ids of: ${one.name}`, () => {
      const { hash } = StorePath.parse(one.storePath)
      assert.equal(git('rev-parse', `${packageRef(hash, 'result')}^{tree}`).trim(), one.tree)
      assert.equal(git('rev-parse', packageRef(hash, 'result')).trim(), one.commit)
      assert.equal(git('cat-file', 'blob', packageRef(hash, 'narinfo')), one.narinfo)
      assert.equal(git('rev-parse', packageRef(hash, 'narinfo')).trim(), one.narinfoBlob)
    })
  }

  it('passes git fsck --strict', () => {
    execFileSync('git', ['-C', gitDir, 'fsck', '--strict', '--full'], { stdio: 'pipe' })
  })

  it('gives every NAR back byte for byte, plain and gzip', async () => {
    const reopened = await GitPackageStore.open({ path: gitDir })
    try {
      assert.equal(reopened.size, packages.length)
      for (const one of packages) {
        const found = await reopened.package(StorePath.parse(one.storePath).hash)
        assert.deepEqual(found?.info, pathInfo(one))
        const plain = await reopened.openNar(one.tree, 'none')
        const gzip = await reopened.openNar(one.tree, 'gzip')
        assert.ok(plain !== undefined && gzip !== undefined)
        const nar = writeNarTree(one.contents)
        assert.ok((await collect(plain.read())).equals(nar))
        const body = await collect(gzip.read())
        assert.equal(body.length, gzip.size)
        assert.ok(gunzipSync(body).equals(nar))
        assert.deepEqual(createHash('sha256').update(body).digest(), Buffer.from(found!.gzip!.sha256))
      }
    } finally {
      await reopened.close()
    }
  })
})
