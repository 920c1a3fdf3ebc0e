/** Packs made by the real `git` from repositories with packages, and stores that take them in. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import type { TestContext } from 'node:test'
import type { PathInfo } from '../../src/nix/path-info.ts'
import type { ReceiveLimits } from '../../src/store/api.ts'
import { GitPackageStore, type PackageStoreOptions } from '../../src/store/package-store.ts'
import { collect } from './collect.ts'
import { addAll } from './merging-store.ts'
import { chunksOf, type MadePackage } from './packages.ts'
import { run } from './process.ts'

/** Limits that no test reaches. */
export const ROOMY: ReceiveLimits = { objects: 100_000, packBytes: 2 ** 32, inflatedBytes: 2 ** 32 }

/** A temporary folder, removed with the test. */
export async function folderFor(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'gachix-quarantine-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A store of its own, closed and removed with the test. */
export async function storeFor(
  t: TestContext,
  options: Partial<PackageStoreOptions> = {},
): Promise<GitPackageStore> {
  const root = await mkdtemp(join(tmpdir(), 'gachix-quarantine-'))
  const store = await GitPackageStore.open({ ...options, path: join(root, 'store') })
  t.after(() => discard(store))
  return store
}

/** A repository that packages are fetched from. */
export class Sender {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** A repository with these packages in it. */
  static async of(t: TestContext, packages: readonly MadePackage[]): Promise<Sender> {
    const path = join(await folderFor(t), 'sender')
    const store = await GitPackageStore.open({ path })
    await addAll(store, packages)
    await store.close()
    return new Sender(path)
  }

  async git(args: readonly string[], input: string | Uint8Array = ''): Promise<Buffer> {
    const env = {
      PATH: process.env.PATH,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'gachix',
      GIT_AUTHOR_EMAIL: 'gachix@gachix.com',
      GIT_AUTHOR_DATE: '@0 +0000',
      GIT_COMMITTER_NAME: 'gachix',
      GIT_COMMITTER_EMAIL: 'gachix@gachix.com',
      GIT_COMMITTER_DATE: '@0 +0000',
    }
    return await run('git', ['-C', this.path, ...args], { input, env })
  }

  async line(args: readonly string[], input: string | Uint8Array = ''): Promise<string> {
    return (await this.git(args, input)).toString().trim()
  }

  commit({ info }: { info: PathInfo }): Promise<string> {
    return this.line(['rev-parse', `refs/${info.storePath.hash}/result`])
  }

  /** What `git pack-objects --revs` makes of these revisions; without flags entries go as they lie. */
  async pack(revisions: readonly string[], flags: readonly string[] = []): Promise<Buffer> {
    const args = ['pack-objects', '--quiet', '--stdout', '--revs', ...flags]
    return await this.git(args, `${revisions.join('\n')}\n`)
  }

  /** All packages' commits. */
  async commits(packages: readonly MadePackage[]): Promise<string[]> {
    return await Promise.all(packages.map((made) => this.commit(made)))
  }
}

/** A pack with everything made anew, in deltas where that is shorter. */
export const WITH_DELTAS = ['--no-reuse-object', '--no-reuse-delta', '--window=50', '--depth=50']

/** Sends a pack in pieces. */
export const sent = (pack: Uint8Array, size = 50_000): AsyncIterable<Uint8Array> => chunksOf(pack, size)

/** Every file of a repository that says what it holds, with a digest of its contents. */
export async function snapshot({ gitDir }: GitPackageStore): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(gitDir, { recursive: true, withFileTypes: true })) {
    const path = relative(gitDir, join(entry.parentPath, entry.name))
    // What is in quarantine, and what may be made anew at any time, does not count.
    if (!entry.isFile() || /^gachix\/(quarantine|index|lock|git-lock)/.test(path)) continue
    files.set(
      path,
      createHash('sha1')
        .update(await readFile(join(gitDir, path)))
        .digest('hex'),
    )
  }
  return files
}

/** A store with some packages in it in which nothing is under way; to be given to `discard`. */
export async function quietStore(packages: readonly MadePackage[]): Promise<GitPackageStore> {
  const path = join(await mkdtemp(join(tmpdir(), 'gachix-quarantine-')), 'store')
  const first = await GitPackageStore.open({ path })
  await addAll(first, packages)
  await first.close()
  return await GitPackageStore.open({ path })
}

export async function discard(store: GitPackageStore): Promise<void> {
  await store.close()
  await rm(dirname(store.gitDir), { recursive: true, force: true })
}

/** Every package is there with its closure, and its NAR is the one that was made. */
export async function checkPublished(
  store: GitPackageStore,
  packages: readonly MadePackage[],
): Promise<void> {
  for (const { info, nar } of packages) {
    assert.ok(store.hasClosure(info.storePath.hash), `${info.storePath} is published`)
    assert.ok((await collect(store.nar(info))).equals(nar))
  }
}
