/** A file of 2 GiB passes through `add` and `serve` with less than 256 MB of memory. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { checkServed } from '../support/cache-client.ts'
import { Gachix } from '../support/gachix.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'

/** Bytes. */
const LIMIT = 256_000_000

describe('a file of 2 GiB', () => {
  let store: NixStore
  let gachix: Gachix
  let facts: PathFacts
  const peakFile = (): string => join(store.root, 'peak')

  before(async () => {
    store = await NixStore.start()
    const [path] = await store.build(['huge-file'])
    facts = (await store.facts([path!]))[0]!
    gachix = await Gachix.create({
      daemonSocket: store.socket,
      nodeFlags: ['--import', join(import.meta.dirname, '../support/report-peak.ts')],
      env: { GACHIX_TEST_PEAK_FILE: peakFile() },
    })
  })

  after(async () => {
    await gachix?.close()
    await store?.close()
  })

  /** Peak resident memory of the last process that ended, bytes. */
  async function peak(): Promise<number> {
    const kilobytes = Number(await readFile(peakFile(), 'utf8'))
    assert.ok(kilobytes > 0)
    return kilobytes * 1024
  }

  test('is added within the limit', async (t) => {
    await gachix.run(['add', facts.path])
    const used = await peak()
    t.diagnostic(`peak of add: ${(used / 1e6).toFixed(0)} MB`)
    assert.ok(used < LIMIT, `add took ${used} bytes`)
  })

  test('is served within the limit, gzip and plain', async (t) => {
    const node = await gachix.serve()
    await checkServed(node.url, facts)
    await node.stop()
    const used = await peak()
    t.diagnostic(`peak of serve: ${(used / 1e6).toFixed(0)} MB`)
    assert.ok(used < LIMIT, `serve took ${used} bytes`)
  })
})
