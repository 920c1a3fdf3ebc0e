import assert from 'node:assert/strict'
import { readSync, statSync } from 'node:fs'
import { mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { FileHandles } from '../../../src/git/file-handles.ts'

async function filesFor(t: TestContext, count: number): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'gachix-handles-'))
  t.after(() => rm(directory, { recursive: true }))
  const paths = Array.from({ length: count }, (_, i) => join(directory, `${i}`))
  await Promise.all(paths.map((path, i) => writeFile(path, `content ${i}`)))
  return paths
}

function firstByte(fd: number): number {
  const buffer = Buffer.alloc(9)
  readSync(fd, buffer, 0, 9, 0)
  return Number(buffer.toString().slice(-1))
}

test('keeps no more files open than its limit, and opens them again', async (t) => {
  const paths = await filesFor(t, 6)
  const handles = new FileHandles(2)
  const files = paths.map((path) => handles.file(path, statSync(path)))
  for (let round = 0; round < 3; round++) {
    for (const [i, file] of files.entries()) {
      assert.equal(firstByte(file.acquire()), i)
      file.release()
      assert.ok(handles.open <= 2)
    }
  }
  for (const file of files) file.close()
  assert.equal(handles.open, 0)
})

test('never closes a file in use', async (t) => {
  const paths = await filesFor(t, 4)
  const handles = new FileHandles(1)
  const files = paths.map((path) => handles.file(path, statSync(path)))
  const fds = files.map((file) => file.acquire())
  assert.equal(handles.open, 4)
  assert.deepEqual(fds.map(firstByte), [0, 1, 2, 3])
  for (const file of files) file.release()
  assert.equal(handles.open, 1)
  for (const file of files) file.close()
})

test('a closed file stays readable for its users, then is gone', async (t) => {
  const [path = ''] = await filesFor(t, 1)
  const handles = new FileHandles()
  const file = handles.file(path, statSync(path))
  const fd = file.acquire()
  file.close()
  await unlink(path)
  assert.equal(firstByte(fd), 0)
  assert.equal(file.acquire(), fd)
  file.release()
  file.release()
  assert.equal(handles.open, 0)
  assert.throws(() => file.acquire(), { code: 'ERR_GIT_PACK_GONE' })
})

test('notices a file that was deleted or replaced', async (t) => {
  const [first = '', second = ''] = await filesFor(t, 2)
  const handles = new FileHandles()
  const file = handles.file(first, statSync(first))
  await rename(second, first)
  assert.throws(() => file.acquire(), { code: 'ERR_GIT_PACK_GONE' })
  await unlink(first)
  assert.throws(() => file.acquire(), { code: 'ERR_GIT_PACK_GONE' })
  assert.equal(handles.open, 0)
})
