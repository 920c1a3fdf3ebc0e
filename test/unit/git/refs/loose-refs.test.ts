import assert from 'node:assert/strict'
import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { MAX_PROBLEMS, removeLooseRefs, scanLooseRefs } from '../../../../src/git/refs/loose-refs.ts'
import { oid, temporaryDirectory } from './arbitraries.ts'

async function put(gitDir: string, name: string, content: string): Promise<void> {
  await mkdir(dirname(join(gitDir, name)), { recursive: true })
  await writeFile(join(gitDir, name), content)
}

test('reads refs as Git does and reports the rest', async (t) => {
  const gitDir = await temporaryDirectory(t)
  await put(gitDir, 'refs/heads/main', `${oid(1)}\n`)
  await put(gitDir, `refs/${'a'.repeat(32)}/narinfo`, oid(2))
  await put(gitDir, 'refs/deep/er/x', `${oid(3)} trailing\n`)
  await put(gitDir, 'refs/remotes/origin/HEAD', 'ref: refs/remotes/origin/main\n')
  await put(gitDir, 'refs/heads/main.lock', `${oid(9)}\n`)
  await put(gitDir, 'refs/heads/empty', '')
  await put(gitDir, 'refs/heads/short', 'abc\n')
  await put(gitDir, 'refs/heads/long', `${oid(4)}0\n`)
  await put(gitDir, 'refs/heads/bad name', `${oid(5)}\n`)
  await mkdir(join(gitDir, 'elsewhere'))
  await writeFile(join(gitDir, 'elsewhere', 'x'), `${oid(6)}\n`)
  await symlink('../elsewhere', join(gitDir, 'refs', 'linked'))
  await symlink('main', join(gitDir, 'refs/heads/alias'))
  const { refs, problems } = await scanLooseRefs(gitDir)
  assert.deepEqual(
    [...refs].sort(),
    [
      ['refs/deep/er/x', oid(3)],
      ['refs/heads/main', oid(1)],
      [`refs/${'a'.repeat(32)}/narinfo`, oid(2)],
    ].sort(),
  )
  assert.deepEqual(problems.map(({ name }) => name).sort(), [
    'refs/heads/alias',
    'refs/heads/bad name',
    'refs/heads/empty',
    'refs/heads/long',
    'refs/heads/short',
    'refs/linked',
  ])
})

test('a repository without refs/, and one with endless rubbish, are read', async (t) => {
  const gitDir = await temporaryDirectory(t)
  assert.deepEqual(await scanLooseRefs(gitDir), { refs: new Map(), problems: [] })
  for (let i = 0; i < MAX_PROBLEMS + 20; i++) await put(gitDir, `refs/bad/${i}`, 'x')
  await put(gitDir, `refs/${'d/'.repeat(100)}x`, `${oid(1)}\n`)
  const { refs, problems } = await scanLooseRefs(gitDir)
  assert.equal(refs.size, 0)
  assert.equal(problems.length, MAX_PROBLEMS)
})

test('removes files and empty directories, and nothing else', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const marker = join(gitDir, 'marker')
  const hash = 'b'.repeat(32)
  await put(gitDir, 'refs/heads/main', `${oid(1)}\n`)
  await put(gitDir, 'refs/tags/v1', `${oid(1)}\n`)
  await put(gitDir, `refs/${hash}/narinfo`, `${oid(1)}\n`)
  await put(gitDir, `refs/${hash}/result`, `${oid(1)}\n`)
  await put(gitDir, 'refs/a/b/c', `${oid(1)}\n`)
  await removeLooseRefs(
    gitDir,
    ['refs/heads/main', `refs/${hash}/narinfo`, 'refs/a/b', 'refs/none', 'refs/a/x/y'],
    marker,
  )
  assert.deepEqual(await readdir(join(gitDir, 'refs', hash)), ['result'])
  assert.deepEqual(await readdir(join(gitDir, 'refs/heads')), [])
  await removeLooseRefs(gitDir, [`refs/${hash}/result`, 'refs/a/b/c', 'refs/tags/v1'], marker)
  assert.deepEqual((await readdir(join(gitDir, 'refs'))).sort(), ['heads', 'tags'])
})

test("waits for Git's lock on a ref and does not break it", async (t) => {
  const gitDir = await temporaryDirectory(t)
  await put(gitDir, 'refs/heads/main', `${oid(1)}\n`)
  await put(gitDir, 'refs/heads/main.lock', '')
  const removal = removeLooseRefs(gitDir, ['refs/heads/main'], join(gitDir, 'marker'), { wait: 60 })
  await assert.rejects(removal, { code: 'ERR_GIT_FILE_LOCKED' })
  assert.ok((await stat(join(gitDir, 'refs/heads/main.lock'))).isFile())
  assert.ok((await stat(join(gitDir, 'refs/heads/main'))).isFile())
})
