import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { folderSize } from '../bench/folder-size.ts'
import { HttpConnection } from '../bench/http-connection.ts'
import { peakMemory, resetPeakMemory } from '../bench/process-stats.ts'
import { fetchNarinfo } from '../support/cache-client.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import { chunksOf, directory, file, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'

const SMALL_FILES = 3000
const FETCHES = 20

/** Text that deflates as program sources do, different for each number. */
function textOf(number: number): string {
  const lines = Array.from({ length: 20 + (number % 60) }, (_, line) => {
    return `#define SYMBOL_${number}_${line} ((${(number * 7919 + line * 104_729) % 65_521}u << ${line % 16}) | 0x${line.toString(16)})`
  })
  return `${lines.join('\n')}\n`
}

/** System calls that read and write, of a process so far. */
async function systemCalls(pid: number): Promise<{ reads: number; writes: number }> {
  const text = await readFile(`/proc/${pid}/io`, 'utf8')
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1])
  return { reads: field('syscr'), writes: field('syscw') }
}

/** What can be counted, on any machine and however busy it is: bytes, system calls, memory. */
describe('what a package of thousands of files costs', () => {
  const contents = Array.from({ length: SMALL_FILES }, (_, i) => textOf(i))
  const made = makePackage(
    'headers',
    directory(Object.fromEntries(contents.map((text, i) => [`header-${i}.h`, file(text)]))),
  )
  const deflated = contents.reduce((sum, text) => sum + deflateRawSync(text, { level: 5 }).length, 0)
  let gachix: Gachix
  let node: GachixNode
  let gzip: { path: string; size: number }
  let plain: { path: string; size: number }

  before(async () => {
    gachix = await Gachix.create({
      env: { GACHIX__MESH__ENABLED: 'false' },
      nodeFlags: ['--max-semi-space-size=1'],
    })
    const store = await GitPackageStore.open({ path: gachix.repository })
    const session = store.ingest()
    await session.add(made.info, chunksOf(made.nar))
    await session.finish()
    await store.close()
    node = await gachix.serve()
    const narinfo = await until(
      () => 'the gzip form',
      async () => {
        const found = await fetchNarinfo(node.url, made.info.storePath.toString())
        return found?.fields.get('Compression') === 'gzip' ? found : undefined
      },
    )
    const url = narinfo.fields.get('URL')!
    gzip = { path: `/${url}`, size: Number(narinfo.fields.get('FileSize')) }
    plain = { path: `/${url.replace(/\.[^.]+\.nar\.gz$/, '.nar')}`, size: made.nar.length }
  })
  after(() => gachix.close())

  it('on the wire: the deflated contents and 50 bytes of framing a file', () => {
    assert.ok(gzip.size < deflated + 50 * SMALL_FILES, `${gzip.size} bytes, contents ${deflated}`)
  })

  it('on the disk: the deflated contents and 200 bytes a file, with all indexes', async () => {
    const { bytes } = await folderSize(gachix.repository)
    assert.ok(bytes < deflated + 200 * SMALL_FILES + 200_000, `${bytes} bytes, contents ${deflated}`)
  })

  it('in system calls: one read for 128 KiB of a NAR, and hardly more writes', async () => {
    const connection = await HttpConnection.open(Number(new URL(node.url).port))
    try {
      await connection.get(gzip.path)
      const earlier = await systemCalls(node.child.pid!)
      for (let i = 0; i < FETCHES; i++) assert.equal((await connection.get(gzip.path)).size, gzip.size)
      const later = await systemCalls(node.child.pid!)
      // A few for the request itself and for the event loop.
      const allowed = FETCHES * (gzip.size / 131_072 + 12)
      assert.ok(later.reads - earlier.reads < allowed, `${later.reads - earlier.reads} reads of ${allowed}`)
      assert.ok(
        later.writes - earlier.writes < allowed,
        `${later.writes - earlier.writes} writes of ${allowed}`,
      )
    } finally {
      connection.close()
    }
  })

  for (const form of ['gzip', 'plain'] as const) {
    it(`in memory: at most 200 MB while 16 clients get it, ${form}`, async () => {
      const { path, size } = form === 'gzip' ? gzip : plain
      resetPeakMemory(node.child.pid!)
      const port = Number(new URL(node.url).port)
      const pull = async (): Promise<void> => {
        const connection = await HttpConnection.open(port)
        for (let i = 0; i < FETCHES / 5; i++) assert.equal((await connection.get(path)).size, size)
        connection.close()
      }
      await Promise.all(Array.from({ length: 16 }, pull))
      const peak = peakMemory(node.child.pid!) / 1e6
      assert.ok(peak <= 200, `${peak.toFixed(0)} MB`)
    })
  }
})
