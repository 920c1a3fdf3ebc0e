import assert from 'node:assert/strict'
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Repository } from '../../../src/git/repository.ts'
import { temporaryDirectory } from './refs/arbitraries.ts'

/** Runs as a user for whom permissions count: root may do everything. Only for this file's process. */
function becomeOrdinary(): void {
  if (process.getuid?.() !== 0) return
  process.setgid?.(65534)
  process.setuid?.(65534)
}

test('missing permissions are named with the path', async (t) => {
  becomeOrdinary()
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'r')
  const repository = await Repository.open(path, { create: true })
  await chmod(path, 0o555)
  await assert.rejects(Repository.open(path), {
    code: 'ERR_REPOSITORY_PERMISSION',
    message: /no permission to write .*\/r\./,
  })
  await Repository.open(path, { readOnly: true })
  await chmod(path, 0o000)
  await assert.rejects(Repository.open(path, { readOnly: true }), {
    code: 'ERR_REPOSITORY_PERMISSION',
    message: /to read/,
  })
  await chmod(path, 0o755)
  await mkdir(join(directory, 'closed'), { mode: 0o500 })
  await assert.rejects(Repository.open(join(directory, 'closed', 'r'), { create: true }), {
    code: 'ERR_REPOSITORY_PERMISSION',
  })
  await repository.cleanTemporary()
})
