import assert from 'node:assert/strict'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { isRefName } from '../../../src/git/refs/ref-name.ts'
import { RefStore } from '../../../src/git/refs/ref-store.ts'
import { Repository } from '../../../src/git/repository.ts'
import { GitFixture } from '../../support/git-fixture.ts'
import { attempt, run } from '../../support/process.ts'

const HASH = 'd'.repeat(32)
const NEVER = { packDelay: 1e9 }

async function fixture(t: { after(fn: () => Promise<void>): void }): Promise<GitFixture> {
  const git = await GitFixture.create()
  t.after(() => git.remove())
  return git
}

/** What git says of the refs, with the targets of tags. */
async function gitRefs(git: GitFixture): Promise<string[]> {
  const lines = await git.git('for-each-ref', '--format=%(refname) %(objectname) %(*objectname)')
  return lines
    .toString()
    .split('\n')
    .filter(Boolean)
    .map((line) => line.trim())
}

function ourRefs(store: RefStore): string[] {
  return [...store.list()].map(({ name, oid }) => `${name} ${oid}`)
}

async function history(git: GitFixture): Promise<[commit: string, blob: string]> {
  await git.fastImport([[['file', Buffer.from('content')]], [['file', Buffer.from('changed')]]])
  return [
    (await git.git('rev-parse', 'refs/heads/main')).toString().trim(),
    await git.hashObject('a narinfo'),
  ]
}

test('git reads what we write', async (t) => {
  const git = await fixture(t)
  const [commit, blob] = await history(git)
  const store = await RefStore.open(git.gitDir, NEVER)
  await store.update({
    set: [
      [`refs/${HASH}/result`, commit],
      [`refs/${HASH}/narinfo`, blob],
      ['refs/heads/copy', commit],
    ],
    delete: [],
  })
  await store.close()
  assert.deepEqual(await gitRefs(git), [
    `refs/${HASH}/narinfo ${blob}`,
    `refs/${HASH}/result ${commit}`,
    `refs/heads/copy ${commit}`,
    `refs/heads/main ${commit}`,
  ])
  assert.equal((await git.git('rev-parse', `refs/${HASH}/result`)).toString().trim(), commit)
  await git.git('fsck', '--strict', '--full')
  await git.git('pack-refs', '--all')
  const again = await RefStore.open(git.gitDir, NEVER)
  assert.deepEqual(ourRefs(again), await gitRefs(git))
  await again.close()
})

test('we write the file that git writes', async (t) => {
  const git = await fixture(t)
  const [commit, blob] = await history(git)
  const store = await RefStore.open(git.gitDir, NEVER)
  await store.update({
    set: [
      [`refs/${HASH}/narinfo`, blob],
      ['refs/heads/main', commit],
      ['refs/heads/ü', commit],
    ],
    delete: [],
  })
  await store.close()
  const path = join(git.gitDir, 'packed-refs')
  const ours = await readFile(path, 'utf8')
  await git.git('update-ref', `refs/${HASH}/narinfo`, commit)
  await git.git('update-ref', `refs/${HASH}/narinfo`, blob)
  await git.git('pack-refs', '--all')
  assert.equal(await readFile(path, 'utf8'), ours)
})

test("git's changes beside ours are seen and kept: loose, packed, deleted, tags with targets", async (t) => {
  const git = await fixture(t)
  const [commit, blob] = await history(git)
  await git.git('tag', '-a', '-m', 'one', 'v1', commit)
  await git.git('pack-refs', '--all')
  const store = await RefStore.open(git.gitDir, NEVER)
  await store.update({ set: [[`refs/${HASH}/narinfo`, blob]], delete: [] })
  await git.git('tag', '-a', '-m', 'two', 'v2', commit)
  await git.git('update-ref', 'refs/heads/other', commit)
  assert.equal(await store.refresh(), true)
  await store.pack()
  await git.git('pack-refs', '--all')
  await git.git('update-ref', '-d', 'refs/heads/other')
  assert.equal(await store.refresh(), true)
  await store.update({ set: [[`refs/${HASH}/result`, commit]], delete: ['refs/tags/v1'] })
  await store.pack()
  const refs = await gitRefs(git)
  const [tag, target] = refs
    .find((line) => line.startsWith('refs/tags/v2'))!
    .split(' ')
    .slice(1)
  assert.equal(target, commit)
  assert.deepEqual(
    refs.map((line) => line.split(' ').slice(0, 2).join(' ')),
    ourRefs(store),
  )
  assert.deepEqual(ourRefs(store), [
    `refs/${HASH}/narinfo ${blob}`,
    `refs/${HASH}/result ${commit}`,
    `refs/heads/main ${commit}`,
    `refs/tags/v2 ${tag}`,
  ])
  assert.match(
    await readFile(join(git.gitDir, 'packed-refs'), 'utf8'),
    / peeled fully-peeled sorted \n[\s\S]*\^/,
  )
  await store.close()
})

test('git peels a tag that we set although its target is not in the file', async (t) => {
  const git = await fixture(t)
  const [commit] = await history(git)
  await git.git('tag', '-a', '-m', 'one', 'v1', commit)
  const tag = (await git.git('rev-parse', 'refs/tags/v1')).toString().trim()
  const store = await RefStore.open(git.gitDir, NEVER)
  await store.update({
    set: [
      ['refs/tags/mirrored', tag],
      ['refs/other/x', tag],
    ],
    delete: ['refs/tags/v1'],
  })
  await store.close()
  const shown = (await git.git('show-ref', '--dereference')).toString()
  assert.ok(
    shown.includes(`${commit} refs/tags/mirrored^{}`) && shown.includes(`${commit} refs/other/x^{}`),
    shown,
  )
})

test("git's own ref changes while we pack all the time lose nothing on either side", async (t) => {
  const git = await fixture(t)
  const [commit] = await history(git)
  const store = await RefStore.open(git.gitDir, { packDelay: 0 })
  let working = true
  const theirs = (async () => {
    for (let i = 0; i < 12; i++) {
      await git.git('update-ref', `refs/heads/theirs${i}`, commit)
      if (i % 3 === 2) await git.git('pack-refs', '--all')
    }
    working = false
  })()
  let ours = 0
  while (working) {
    await store.update({ set: [[`refs/heads/ours${ours++}`, commit]], delete: [] })
    await store.pack()
  }
  await theirs
  await store.refresh()
  assert.equal(store.count('refs/heads/theirs'), 12)
  assert.equal(store.count('refs/heads/ours'), ours)
  await store.close()
  assert.equal((await gitRefs(git)).length, 12 + ours + 1)
  await git.git('fsck', '--strict')
})

test('ref names are judged as git judges them', async (t) => {
  const git = await fixture(t)
  const names = [
    'refs/a',
    'refs/a.b',
    'refs/a..b',
    'refs/.a',
    'refs/a.',
    'refs/a./b',
    'refs/a.lock',
    'refs/a.lock/b',
    'refs/a.lockb',
    'refs/@',
    'refs/a@{b',
  ]
  names.push(
    'refs/a@b',
    'refs/{',
    'refs/a b',
    'refs/a~',
    'refs/a^',
    'refs/a:',
    'refs/a?',
    'refs/a*',
    'refs/a[',
    'refs/a]',
    'refs/a\\',
    'refs//a',
    'refs/a/',
  )
  names.push(
    'refs/-',
    'refs/ü',
    'refs/a\x7f',
    'refs/a\x01',
    'refs/😀',
    'refs/"',
    "refs/'",
    'refs/$(x)',
    'refs/a,b;c',
  )
  for (const name of names) {
    const { code } = await attempt('git', ['check-ref-format', name], { cwd: git.root })
    assert.equal(isRefName(name), code === 0, name)
  }
})

test('repositories of every shape are opened', async (t) => {
  const git = await fixture(t)
  const [commit] = await history(git)
  const shape = (name: string): string => join(git.root, name)
  const anywhere = async (...args: string[]): Promise<void> => {
    await run('git', args, { cwd: git.root, env: { PATH: process.env.PATH, HOME: git.root } })
  }
  await git.git('symbolic-ref', 'HEAD', 'refs/heads/main')
  await anywhere('clone', '--quiet', '--no-local', git.gitDir, 'work')
  await anywhere('clone', '--quiet', '--separate-git-dir', 'apart', git.gitDir, 'separate')
  await anywhere('-C', 'work', 'worktree', 'add', '--quiet', '-b', 'second', '../linked')
  const expected: [string, string][] = [
    [git.gitDir, git.gitDir],
    [shape('work'), shape('work/.git')],
    [shape('work/.git'), shape('work/.git')],
    [shape('separate'), shape('apart')],
    [shape('linked'), shape('work/.git')],
  ]
  for (const [path, gitDir] of expected) {
    const repository = await Repository.open(path)
    assert.equal(repository.gitDir, gitDir)
    const refs = await RefStore.open(repository.gitDir, { readOnly: true })
    assert.equal(refs.get('refs/heads/main'), commit, path)
    await refs.close()
    const get = await run('git', ['-C', path, 'config', 'pack.window'], { cwd: git.root })
    assert.equal(get.toString().trim(), '0')
  }
  await assert.rejects(Repository.open(git.root), { code: 'ERR_NOT_A_REPOSITORY' })
  await anywhere('init', '--quiet', '--bare', '--object-format=sha256', 'sha256')
  await assert.rejects(Repository.open(shape('sha256')), { code: 'ERR_UNSUPPORTED_REPOSITORY' })
})

test('git works in a repository that we made', async (t) => {
  const git = await fixture(t)
  await history(git)
  const path = join(git.root, 'ours')
  const { gitDir } = await Repository.open(path, { create: true })
  const ours = (...args: string[]): Promise<Buffer> =>
    run('git', ['-C', path, ...args], { env: { PATH: process.env.PATH, HOME: git.root } })
  assert.equal((await ours('rev-parse', '--is-bare-repository')).toString(), 'true\n')
  assert.equal((await ours('symbolic-ref', 'HEAD')).toString(), 'refs/heads/main\n')
  for (const [key, value] of [
    ['pack.window', '0'],
    ['gc.auto', '0'],
    ['transfer.unpackLimit', '1'],
    ['uploadpack.allowFilter', 'true'],
  ] as const) {
    assert.equal((await ours('config', '--local', key)).toString(), `${value}\n`)
  }
  await ours('config', 'remote.x.url', git.gitDir)
  await ours('fetch', '--quiet', 'x', 'refs/heads/main:refs/heads/main')
  await ours('fsck', '--strict')
  assert.ok((await stat(join(gitDir, 'objects/pack'))).isDirectory())
  await mkdir(join(gitDir, 'gachix', 'x'))
  await writeFile(join(gitDir, 'gachix', 'x', 'y'), 'z')
  await ours('gc', '--quiet')
  await ours('fsck', '--strict')
})
