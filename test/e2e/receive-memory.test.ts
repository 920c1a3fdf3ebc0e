/** A pack with a file of 600 MB is taken in, proven and published with less than 256 MB of memory. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { NarFramer } from '../../src/nix/nar/writer.ts'
import { formatStoredNarInfo } from '../../src/nix/narinfo.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { fsck } from '../support/gachix.ts'
import { noise } from '../support/git-fixture.ts'
import { storePathOf } from '../support/memory-source.ts'
import { run } from '../support/process.ts'
import { Sender } from '../support/quarantine.ts'

/** Bytes. */
const LIMIT = 256_000_000
const FILE_SIZE = 600_000_000
const BLOCK = 1_000_000

/** A NAR of one file, most of which compresses well. */
function* largeNar(): Generator<Buffer> {
  const framer = new NarFramer()
  framer.start()
  framer.fileOpen(false, FILE_SIZE)
  yield framer.take()
  const block = Buffer.alloc(BLOCK, 'the same again and again ')
  noise(60_000, 1).copy(block)
  for (let at = 0; at < FILE_SIZE; at += BLOCK) {
    block.writeUInt32LE(at)
    yield Buffer.from(block)
  }
  framer.fileClose(FILE_SIZE)
  yield framer.take()
}

describe('a pack with a file of 600 MB', () => {
  let root: string
  let sender: Sender
  let commit: string

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'gachix-receive-memory-'))
    const hash = createHash('sha256')
    let narSize = 0
    for (const chunk of largeNar()) {
      hash.update(chunk)
      narSize += chunk.length
    }
    const info: PathInfo = {
      storePath: storePathOf('large'),
      narHash: { algorithm: 'sha256', digest: hash.digest() },
      narSize,
      references: [],
      signatures: [],
    }
    const store = await GitPackageStore.open({ path: join(root, 'sender'), compressionLevel: 1 })
    const session = store.ingest()
    await session.add(info, Readable.from(largeNar()))
    await session.finish()
    await store.close()
    sender = new Sender(join(root, 'sender'))
    commit = await sender.line(['rev-parse', `refs/${info.storePath.hash}/result`])
    const announced = [{ narinfo: formatStoredNarInfo(info, 'nar/none.nar'), commit }]
    writeFileSync(join(root, 'packages.json'), JSON.stringify(announced))
  })
  after(() => rmSync(root, { recursive: true, force: true }))

  for (const [kind, flags] of [
    ['that can be spliced', []],
    ['that git has compressed', ['--no-reuse-object', '--window=0', '--compression=1']],
  ] as const) {
    it(`${kind} is published within the limit`, async (t) => {
      writeFileSync(join(root, 'pack'), await sender.pack([commit], flags))
      const support = join(import.meta.dirname, '../support')
      const peakFile = join(root, 'peak')
      const receiver = join(root, kind)
      const program = [join(support, 'receive-and-publish.ts'), receiver, root]
      const node = ['--max-semi-space-size=1', '--import', join(support, 'report-peak.ts')]
      const env = { ...process.env, GACHIX_TEST_PEAK_FILE: peakFile }
      await run(process.execPath, [...node, ...program], { env })
      const peak = Number(readFileSync(peakFile, 'utf8')) * 1024
      t.diagnostic(`peak: ${(peak / 1e6).toFixed(0)} MB`)
      assert.ok(peak > 0 && peak < LIMIT, `it took ${peak} bytes`)
      await fsck(receiver, ['--connectivity-only'])
    })
  }
})
