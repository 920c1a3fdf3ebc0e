import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { findGitDir } from '../../../src/git/git-dir.ts'
import { Repository } from '../../../src/git/repository.ts'
import { temporaryDirectory } from './refs/arbitraries.ts'

test('makes a bare repository where there is nothing, once', async (t) => {
  const path = join(await temporaryDirectory(t), 'a', 'b')
  await assert.rejects(Repository.open(path), { code: 'ERR_NOT_A_REPOSITORY' })
  await assert.rejects(Repository.open(path, { create: true, readOnly: true }), {
    code: 'ERR_NOT_A_REPOSITORY',
  })
  const repository = await Repository.open(path, { create: true })
  assert.equal(repository.gitDir, path)
  assert.equal(repository.objectsDir, join(path, 'objects'))
  assert.equal(await readFile(join(path, 'HEAD'), 'utf8'), 'ref: refs/heads/main\n')
  for (const directory of [repository.ownDir, repository.tmpDir])
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
  const config = await readFile(join(path, 'config'), 'utf8')
  await Repository.open(path, { create: true })
  await Repository.open(path, { readOnly: true })
  assert.equal(await readFile(join(path, 'config'), 'utf8'), config)
  assert.deepEqual(
    (await readdir(path)).filter((name) => name.endsWith('.lock')),
    [],
  )
})

test('an interrupted creation is finished, whatever of it is there', async (t) => {
  const root = await temporaryDirectory(t)
  const states: [name: string, content: string][][] = [
    [['hooks/', '']],
    [
      ['hooks/', ''],
      ['info/', ''],
    ],
    [['objects/', '']],
    [
      ['objects/', ''],
      ['refs/heads/', ''],
      ['config', ''],
    ],
    [
      ['objects/', ''],
      ['refs/heads/', ''],
      ['config', '[core]\n\trepos'],
    ],
    [
      ['objects/', ''],
      ['refs/heads/', ''],
      ['config', '[core]\n\tbare = true\n'],
      ['HEAD', ''],
    ],
  ]
  for (const [i, state] of states.entries()) {
    const path = join(root, String(i))
    await mkdir(path)
    for (const [name, content] of state) {
      if (name.endsWith('/')) await mkdir(join(path, name), { recursive: true })
      else await writeFile(join(path, name), content)
    }
    await Repository.open(path, { create: true })
    assert.match(
      await readFile(join(path, 'config'), 'utf8'),
      /bare = true\n[\s\S]*window = 0\n[\s\S]*auto = 0\n[\s\S]*unpackLimit = 1\n[\s\S]*allowAnySHA1InWant = true\n\tallowFilter = true\n$/,
    )
    assert.equal(await findGitDir(path), path)
  }
})

test("directories with other people's files are left alone", async (t) => {
  const root = await temporaryDirectory(t)
  const states: string[][] = [
    ['notes.txt'],
    ['config'],
    ['HEAD'],
    ['objects/ab/cdef'],
    ['refs/heads/main', 'objects/x'],
    ['.git'],
  ]
  for (const [i, files] of states.entries()) {
    const path = join(root, String(i))
    for (const name of files) {
      await mkdir(join(path, name, '..'), { recursive: true })
      await writeFile(join(path, name), 'content')
    }
    const before = await readdir(path, { recursive: true })
    await assert.rejects(
      Repository.open(path, { create: true }),
      { code: 'ERR_NOT_A_REPOSITORY' },
      files.join(' '),
    )
    assert.deepEqual(await readdir(path, { recursive: true }), before)
    for (const name of files) assert.equal(await readFile(join(path, name), 'utf8'), 'content')
  }
  await assert.rejects(Repository.open(join(root, '0', 'notes.txt'), { create: true }), (error: unknown) => {
    assert.match(String(error), /notes\.txt is not a Git repository: it is not a directory/)
    return true
  })
})

test('formats that gachix does not know are refused by name', async (t) => {
  const path = join(await temporaryDirectory(t), 'r')
  await Repository.open(path, { create: true })
  const config = join(path, 'config')
  const refused: [string, RegExp][] = [
    ['[core]\nrepositoryformatversion=1\n[extensions]\nobjectFormat=sha256\n', /object ids are sha256/],
    ['[core]\nrepositoryformatversion=0\n[extensions] OBJECTFORMAT = sha256\n', /object ids are sha256/],
    ['[core]\nrepositoryformatversion=1\n[extensions]\nrefStorage=reftable\n', /refs are kept as reftable/],
    ['[core]\nrepositoryformatversion=1\n[extensions]\nshiny=true\n', /extension shiny/],
    ['[core]\nrepositoryformatversion=1\n[extensions]\npartialClone=origin\n', /extension partialclone/],
    ['[core]\nrepositoryformatversion=2\n', /format version is 2/],
  ]
  for (const [text, reason] of refused) {
    await writeFile(config, text)
    await assert.rejects(Repository.open(path), { code: 'ERR_UNSUPPORTED_REPOSITORY', message: reason }, text)
    assert.equal(await readFile(config, 'utf8'), text)
  }
  await writeFile(
    config,
    '[core]\nrepositoryformatversion=1\n[extensions]\nobjectFormat=sha1\nrefStorage=files\npreciousObjects=true\n',
  )
  await Repository.open(path)
  await writeFile(config, '[core\n')
  await assert.rejects(Repository.open(path), { code: 'ERR_GIT_CONFIG' })
})

test('settings that the repository has are kept, and so is everything else in its configuration', async (t) => {
  const path = join(await temporaryDirectory(t), 'r')
  await Repository.open(path, { create: true })
  const config = join(path, 'config')
  const text =
    '[core]\n\tbare = true\n# a comment\n[pack]\n\twindow = 10\n[remote "x"]\n\turl = "a;b" ; why\n\tfetch = +refs/*:refs/*\n'
  await writeFile(config, text, { mode: 0o600 })
  await Repository.open(path, { readOnly: true })
  assert.equal(await readFile(config, 'utf8'), text)
  await Repository.open(path)
  assert.equal(
    await readFile(config, 'utf8'),
    `${text}[gc]\n\tauto = 0\n[transfer]\n\tunpackLimit = 1\n[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n`,
  )
})

test('temporary files are removed by the one who holds the lock', async (t) => {
  const repository = await Repository.open(join(await temporaryDirectory(t), 'r'), { create: true })
  await mkdir(join(repository.tmpDir, 'x'))
  await writeFile(join(repository.tmpDir, 'x', 'y'), '')
  await Repository.open(repository.gitDir)
  assert.deepEqual(await readdir(repository.tmpDir), ['x'])
  await repository.cleanTemporary()
  assert.deepEqual(await readdir(repository.tmpDir), [])
})
