/**
 * A disk that is full: commands say so and name no source for it, what is there is still served, a miss that cannot be stored is a 404, and once
 * there is room again everything goes on.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fsck, Gachix } from '../support/gachix.ts'
import { noise } from '../support/git-fixture.ts'
import { directory, file, makePackage } from '../support/packages.ts'
import { run } from '../support/process.ts'
import { publishTo, TEAM_KEY } from '../support/replica.ts'

const MEBIBYTE = 1024 * 1024
/** Bytes of the disk, and of what is to be pulled to it. */
const DISK = 12 * MEBIBYTE
const LARGE = makePackage('large', directory({ data: file(noise(20 * MEBIBYTE, 1)), note: file('a line\n') }))
/** It fits once, but is copied from quarantine to the repository. */
const TWICE = makePackage('twice', directory({ data: file(noise(7 * MEBIBYTE, 3)) }))
const SMALL = makePackage('small', directory({ data: file(noise(100_000, 2)) }))
/** Milliseconds until a client must have its answer. */
const PATIENCE = 8_000

describe('a disk that is full', () => {
  let folder: string
  let disk: string
  let gachix: Gachix

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-disk-full-'))
    disk = await mkdtemp(join(folder, 'disk-'))
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'gachix-test', disk])
    await publishTo(join(folder, 'origin'), [LARGE, TWICE, SMALL])
    const remotes = ['origin', 'mirror'].map((name) => ({ url: join(folder, 'origin'), name }))
    gachix = await Gachix.create({
      repository: join(disk, 'cache'),
      settings: `store: { remotes: ${JSON.stringify(remotes)} }\ntrust: { public_keys: ["${TEAM_KEY.publicKey}"] }\n`,
    })
  })
  after(async () => {
    await gachix?.close()
    await run('umount', [disk])
    await rm(folder, { recursive: true, force: true })
  })

  /** Files that are not finished, in the repository. */
  async function unfinished(): Promise<string[]> {
    const names = await readdir(gachix.repository, { recursive: true })
    return names.filter((name) => /\.(partial|tmp)$/.test(name))
  }

  test('sync fails by it alone, and leaves nothing that is not finished', async () => {
    await gachix.run(['sync', SMALL.info.storePath.toString()])
    for (const { info } of [LARGE, TWICE]) {
      const result = await gachix.attempt(['sync', info.storePath.toString()])
      assert.equal(result.code, 1)
      assert.match(result.stderr, /cannot be stored here: .*no space left on device.*\[ENOSPC\]/)
      assert.doesNotMatch(result.stderr, /given up/)
      assert.deepEqual(await unfinished(), [])
      await fsck(gachix.repository)
    }
  })

  test('a node serves what it has, and answers 404 for what it cannot store', async () => {
    const node = await gachix.serve()
    const get = (path: string) => fetch(`${node.url}/${path}`, { signal: AbortSignal.timeout(PATIENCE) })
    const nar = async (hash: string) => {
      const narinfo = await get(`${hash}.narinfo`)
      if (narinfo.status !== 200) return narinfo
      return await get(/^URL: (.*)$/m.exec(await narinfo.text())![1]!)
    }
    const missing = await nar(LARGE.info.storePath.hash)
    assert.equal(missing.status, 404)
    try {
      writeFileSync(join(disk, 'rest'), Buffer.alloc(DISK))
    } catch {
      // Until nothing more fits.
    }
    const served = await nar(SMALL.info.storePath.hash)
    assert.equal(served.status, 200)
    await served.arrayBuffer()
    const again = await nar(LARGE.info.storePath.hash)
    assert.equal(again.status, 404)
    await node.stop()
    await rm(join(disk, 'rest'))
    assert.deepEqual(await unfinished(), [])
  })

  test('with room again it goes on', async () => {
    await run('mount', ['-o', `remount,size=${8 * DISK}`, disk])
    const summary = JSON.parse(await gachix.run(['sync', LARGE.info.storePath.toString(), '--json']))
    assert.equal(summary.added, 1)
    await fsck(gachix.repository)
  })
})
