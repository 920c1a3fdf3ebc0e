import assert from 'node:assert/strict'
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { formatHash, type HashAlgorithm, parseHash } from '../../../src/nix/hash.ts'
import { PublicKey, SecretKey } from '../../../src/nix/signature.ts'
import { cut, type NarTree, readNarTree, writeNarTree } from '../../support/nar-tree.ts'
import { nixEnvironment } from '../../support/nix.ts'
import { nixVectors } from '../../support/nix-vectors.ts'
import { run } from '../../support/process.ts'

const golden = nixVectors<{
  valid: { name: string; nar: string; tree: NarTree }[]
}>('nar')

const base64 = (text: string | Buffer) => Buffer.from(text as string).toString('base64')

/** A tree on disk as a `NarTree`, by the rules of Nix: owner's executable bit, names in byte order. */
async function treeOf(path: Buffer): Promise<NarTree> {
  const stat = await lstat(path)
  if (stat.isSymbolicLink()) return { type: 'symlink', target: base64(await readlink(path, 'buffer')) }
  if (stat.isFile()) {
    const contents = base64(await readFile(path))
    return { type: 'regular', executable: (stat.mode & 0o100) !== 0, contents }
  }
  const names = (await readdir(path, 'buffer')).sort(Buffer.compare)
  const entries = await Promise.all(
    names.map(async (name) => ({
      name: base64(name),
      node: await treeOf(Buffer.concat([path, Buffer.from('/'), name])),
    })),
  )
  return { type: 'directory', entries }
}

describe('formats beside the real Nix', () => {
  let folder: string
  let env: NodeJS.ProcessEnv

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-formats-'))
    const state = join(folder, 'state')
    env = {
      ...(await nixEnvironment(join(folder, 'home'))),
      NIX_STORE_DIR: join(folder, 'store'),
      NIX_STATE_DIR: state,
      NIX_LOG_DIR: join(folder, 'log'),
    }
  })

  after(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('writes the NAR that nix-store --dump writes', async () => {
    const root = join(folder, 'tree')
    await mkdir(join(root, 'empty'), { recursive: true })
    await mkdir(join(root, 'a/b/c/.git'), { recursive: true })
    for (let size = 0; size < 18; size++) {
      await writeFile(join(root, `file-${'x'.repeat(size)}`), Buffer.alloc(size, size))
    }
    await writeFile(join(root, 'a.b'), 'between a and a/b in one order, not in the other')
    await writeFile(join(root, 'run'), '#!/bin/sh\n')
    await chmod(join(root, 'run'), 0o744)
    await writeFile(join(root, 'a/b/c/.git/big'), Buffer.alloc(300_001, 'big'))
    await writeFile(join(root, 'ünï\ncode \\'), '')
    await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe])]), 'bytes')
    await symlink('../outside', join(root, 'link'))
    await symlink('/nowhere', join(root, 'a/dangling'))
    for (const path of [
      root,
      join(root, 'run'),
      join(root, 'link'),
      join(root, 'file-'),
      join(root, 'empty'),
    ]) {
      const dumped = await run('nix-store', ['--dump', path], { env })
      const ours = writeNarTree(await treeOf(Buffer.from(path)))
      assert.ok(ours.equals(dumped), path)
      assert.ok(writeNarTree(readNarTree(cut(dumped, [4096]))).equals(dumped), path)
    }
  })

  it('writes NARs that nix-store --restore unpacks to the same tree', async () => {
    for (const [index, { name, nar }] of golden.valid.entries()) {
      const bytes = writeNarTree(readNarTree([Buffer.from(nar, 'base64')]))
      const target = join(folder, `restored-${index}`)
      await run('nix-store', ['--restore', target], { env, input: bytes })
      assert.ok(writeNarTree(await treeOf(Buffer.from(target))).equals(bytes), name)
    }
  })

  it('reads the hashes that nix-hash prints', async () => {
    const file = join(folder, 'hashed')
    await writeFile(file, 'hello gachix')
    for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512'] satisfies HashAlgorithm[]) {
      const print = async (...flags: string[]) =>
        (await run('nix-hash', ['--flat', '--type', algorithm, ...flags, file], { env })).toString().trim()
      const hex = parseHash(await print(), algorithm)
      const nix32 = await print('--base32')
      assert.deepEqual(parseHash(nix32, algorithm), hex)
      assert.equal(formatHash(hex, 'nix32'), `${algorithm}:${nix32}`)
    }
  })

  it('reads the keys that Nix makes', async () => {
    const [secretFile, publicFile] = [join(folder, 'secret'), join(folder, 'public')]
    await run('nix-store', ['--generate-binary-cache-key', 'test.example-1', secretFile, publicFile], { env })
    const secretText = await readFile(secretFile, 'utf8')
    const publicText = await readFile(publicFile, 'utf8')
    const secret = SecretKey.parse(secretText)
    assert.equal(secret.secretText(), secretText)
    assert.equal(secret.publicKey.toString(), publicText)
    assert.deepEqual(PublicKey.parse(publicText).bytes, secret.publicKey.bytes)
  })

  it('makes keys that Nix reads', async () => {
    const secret = SecretKey.generate('ours.example-1')
    const input = secret.secretText()
    const published = await run('nix', ['key', 'convert-secret-to-public'], { env, input })
    assert.equal(published.toString().trim(), secret.publicKey.toString())
  })
})
