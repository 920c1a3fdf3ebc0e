/** A repository with a blob of 300 MB is cloned from a node within bounded memory. */
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Gachix } from '../support/gachix.ts'
import { GitFixture } from '../support/git-fixture.ts'
import { run } from '../support/process.ts'

/** Bytes. */
const SIZE = 300_000_000
const LIMIT = 200_000_000

test('a mirror of a repository with a large blob', async (t) => {
  const fixture = await GitFixture.create()
  t.after(() => fixture.remove())
  await fixture.git('config', 'core.compression', '0')
  const file = join(fixture.root, 'large')
  await run('sh', ['-c', `head -c ${SIZE} /dev/urandom > "$1"`, 'sh', file])
  const blob = (await fixture.git('hash-object', '-w', file)).toString().trim()
  await rm(file)
  await fixture.git('update-ref', 'refs/tags/large', blob)
  await fixture.git('repack', '-a', '-d', '--quiet')
  const peakFile = join(fixture.root, 'peak')
  const gachix = await Gachix.create({
    repository: fixture.gitDir,
    nodeFlags: ['--import', join(import.meta.dirname, '../support/report-peak.ts')],
    env: { GACHIX_TEST_PEAK_FILE: peakFile },
  })
  try {
    const node = await gachix.serve()
    const clone = join(fixture.root, 'clone.git')
    await run('git', ['clone', '--quiet', '--mirror', `${node.url}/git`, clone])
    const size = await run('git', ['-C', clone, 'cat-file', '-s', blob])
    assert.equal(Number(size), SIZE)
    await node.stop()
  } finally {
    await gachix.close()
  }
  const used = Number(await readFile(peakFile, 'utf8')) * 1024
  t.diagnostic(`peak of serve: ${(used / 1e6).toFixed(0)} MB`)
  assert.ok(used > 0 && used < LIMIT, `serve took ${used} bytes`)
})
