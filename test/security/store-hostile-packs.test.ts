import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, open, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { collect } from '../support/collect.ts'
import { run } from '../support/process.ts'

const MEBIBYTE = 1024 * 1024

/** Packs that are valid, and made to hurt whoever serves from them. */
describe('the store and packs of an attacker', () => {
  it('takes no memory for a stream that is far longer than the blob it makes', async () => {
    const root = await mkdtemp(join(tmpdir(), 'gachix-hostile-'))
    const path = join(root, 'repository')
    await run('git', ['init', '--quiet', '--bare', path])
    const blob = Buffer.from('0123456789')
    // Empty stored blocks before the content, which git takes.
    const oid = await addPack(path, blob, 96)
    const tree = (await run('git', ['-C', path, 'mktree'], { input: `100644 blob ${oid}\tfile\n` }))
      .toString()
      .trim()
    const store = await GitPackageStore.open({ path })
    try {
      const before = process.memoryUsage().arrayBuffers
      let peak = 0
      let done = false
      const body = await store.openNar(tree, 'none')
      const reading = collect(body!.read()).finally(() => {
        done = true
      })
      while (!done) {
        // Only what is held counts, not what the collector has not come to yet.
        collectGarbage()
        peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
        await setImmediate()
      }
      assert.ok((await reading).includes(blob))
      assert.ok(peak < 16 * MEBIBYTE, `${Math.round(peak / MEBIBYTE)} MiB for a file of ${blob.length} bytes`)
    } finally {
      await store.close()
      await rm(root, { recursive: true })
    }
  })
})

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Adds a pack with one blob of less than 16 bytes, whose deflate stream begins with about so many MiB of nothing. */
async function addPack(repository: string, content: Buffer, mebibytes: number): Promise<string> {
  const temporary = join(repository, 'objects/pack/tmp_pack')
  const file = await open(temporary, 'w')
  const hash = createHash('sha1')
  const write = async (bytes: Buffer) => {
    hash.update(bytes)
    await file.writeFile(bytes)
  }
  await write(Buffer.from('5041434b0000000200000001', 'hex'))
  await write(Buffer.from([0x30 | content.length, 0x78, 0x01]))
  // Written in pieces, so that the test's own memory does not count.
  const nothing = Buffer.alloc(5 * 200_000, Buffer.of(0, 0, 0, 0xff, 0xff))
  for (let i = 0; i < mebibytes; i++) await write(nothing)
  await write(Buffer.from([1, content.length, 0, content.length ^ 0xff, 0xff]))
  await write(content)
  await write(adler32(content))
  const sum = hash.digest()
  await file.writeFile(sum)
  await file.close()
  const path = join(repository, 'objects/pack', `pack-${sum.toString('hex')}.pack`)
  await rename(temporary, path)
  await run('git', ['-C', repository, 'index-pack', path])
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

function adler32(bytes: Buffer): Buffer {
  let [a, b] = [1, 0]
  for (const byte of bytes) {
    a = (a + byte) % 65521
    b = (b + a) % 65521
  }
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(b * 65536 + a)
  return sum
}
