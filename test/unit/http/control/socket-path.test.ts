import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  controlSocketPath,
  ensureSocketFolder,
  MAX_SOCKET_PATH,
} from '../../../../src/http/control/socket-path.ts'

/** A folder of the test's own that is taken for `XDG_RUNTIME_DIR`. */
async function runtimeDir(t: TestContext): Promise<string> {
  const before = process.env.XDG_RUNTIME_DIR
  const folder = await mkdtemp(join(await realpath(tmpdir()), 'gachix-run-'))
  process.env.XDG_RUNTIME_DIR = folder
  t.after(async () => {
    if (before === undefined) delete process.env.XDG_RUNTIME_DIR
    else process.env.XDG_RUNTIME_DIR = before
    await rm(folder, { recursive: true })
  })
  return folder
}

const LONG = `/srv/${'long/'.repeat(30)}gachix`

test('the socket lies beside the repository where its path is short enough', () => {
  assert.equal(controlSocketPath('/srv/cache/gachix'), '/srv/cache/gachix/control.sock')
})

test('a long path gives a short, stable one in a private folder, another for another repository', async (t) => {
  const folder = await runtimeDir(t)
  const path = controlSocketPath(LONG)
  assert.equal(dirname(path), join(folder, `gachix-${process.getuid!()}`))
  assert.ok(Buffer.byteLength(path) <= MAX_SOCKET_PATH)
  assert.equal(controlSocketPath(`${LONG}/`), path)
  assert.notEqual(controlSocketPath(`${LONG}2`), path)
  await ensureSocketFolder(path)
  assert.equal((await stat(dirname(path))).mode & 0o777, 0o700)
  await ensureSocketFolder(path)
})

test('bytes count, not characters', () => {
  const folder = `/srv/${'ä'.repeat(45)}/gachix`
  assert.notEqual(dirname(controlSocketPath(folder)), folder)
})

test('a private folder that others could have prepared is refused', async (t) => {
  const path = await runtimeDir(t).then(() => controlSocketPath(LONG))
  const folder = dirname(path)
  const refused = { code: 'ERR_CONTROL_SOCKET', message: /must be a folder of this user with mode 0700/ }
  await mkdir(folder)
  await chmod(folder, 0o777)
  await assert.rejects(ensureSocketFolder(path), refused)
  await rm(folder, { recursive: true })
  const elsewhere = join(dirname(folder), 'elsewhere')
  await mkdir(elsewhere, { mode: 0o700 })
  await symlink(elsewhere, folder)
  await assert.rejects(ensureSocketFolder(path), refused)
  await rm(folder)
  await writeFile(folder, '')
  await assert.rejects(ensureSocketFolder(path))
})
