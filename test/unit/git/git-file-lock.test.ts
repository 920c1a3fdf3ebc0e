import assert from 'node:assert/strict'
import { link, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { GitFileLock } from '../../../src/git/git-file-lock.ts'
import { temporaryDirectory } from './refs/arbitraries.ts'

test('the lock file exists while the lock is held', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'packed-refs')
  const lock = await GitFileLock.acquire(file, join(directory, 'marker'))
  assert.ok((await stat(`${file}.lock`)).isFile())
  await lock.release()
  await lock.release()
  await assert.rejects(stat(`${file}.lock`), { code: 'ENOENT' })
})

test("another program's lock is waited for, its own left over from a crash is taken over", async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'packed-refs')
  const marker = join(directory, 'marker')
  await writeFile(`${file}.lock`, '')
  await assert.rejects(GitFileLock.acquire(file, marker, { wait: 50 }), { code: 'ERR_GIT_FILE_LOCKED' })
  const signal = AbortSignal.timeout(50)
  await assert.rejects(GitFileLock.acquire(file, marker, { wait: 60_000, signal }), { code: 'ERR_ABORTED' })
  await link(marker, join(directory, 'config.lock'))
  const lock = await GitFileLock.acquire(join(directory, 'config'), marker, { wait: 0 })
  await lock.release()
  await assert.rejects(stat(join(directory, 'config.lock')), { code: 'ENOENT' })
})
