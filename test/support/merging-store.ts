/** Stores whose packs get many, and what is known of the merges that follow. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { GitPackageStore } from '../../src/store/package-store.ts'
import { type Logger, silentLogger } from '../../src/util/log.ts'
import { collect } from './collect.ts'
import { noise, prose } from './git-fixture.ts'
import { chunksOf, directory, file, type MadePackage, makePackage, symlink } from './packages.ts'

/** A logger that keeps what is said of merges, and all warnings. */
export class MergeLog {
  merges = 0
  readonly warnings: string[] = []
  readonly logger: Logger

  constructor() {
    this.logger = {
      ...silentLogger,
      debug: (fields: unknown, message?: string) => {
        if (message === 'merged packs' || fields === 'merged packs') this.merges++
      },
      warn: (fields: unknown, message?: string) => void this.warnings.push(message ?? String(fields)),
      error: (fields: unknown, message?: string) => void this.warnings.push(message ?? String(fields)),
    }
  }
}

/** The package of a number, the same one each time: small files, some shared with others, now and then a large one. */
export function numbered(number: number): MadePackage {
  const large =
    number % 5 === 0 ? { large: file(Buffer.concat([noise(600_000, number), prose(300_000, number)])) } : {}
  return makePackage(
    `numbered-${number}`,
    directory({
      ...large,
      common: file('in every package'),
      neighbour: file(prose(3000, Math.floor(number / 2))),
      own: file(prose(200 + number * 37, number), number % 2 === 0),
      empty: file(''),
      link: symlink(`own-${number}`),
    }),
  )
}

/** Adds packages in one session. */
export async function addAll(store: GitPackageStore, packages: readonly MadePackage[]): Promise<void> {
  const session = store.ingest()
  for (const { info, nar } of packages) await session.add(info, chunksOf(nar))
  await session.finish()
}

/** Adds the packages of these numbers, each in a session of its own. */
export async function addOneByOne(store: GitPackageStore, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number++) await addAll(store, [numbered(number)])
}

/** Every byte of a package in both encodings, compared with what was added; gives the gzip form's id. */
export async function checkServed(
  store: GitPackageStore,
  { info, nar }: MadePackage,
  eachChunk: () => Promise<void> = async () => {},
): Promise<string> {
  const { name, hash } = info.storePath
  const found = await store.package(hash)
  assert.ok(found, name)
  const slowly = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      yield chunk
      await eachChunk()
    }
  }
  const plain = await store.openNar(found.tree, 'none')
  assert.ok(plain, name)
  assert.ok((await collect(slowly(plain.read()))).equals(nar), `plain NAR of ${name}`)
  assert.ok(found.gzip, `gzip form of ${name}`)
  const gzip = await store.openNar(found.tree, 'gzip')
  assert.ok(gzip, name)
  assert.equal(gzip.id, found.gzip.id)
  const bytes = await collect(slowly(gzip.read()))
  assert.ok(createHash('sha256').update(bytes).digest().equals(found.gzip.sha256), `gzip bytes of ${name}`)
  assert.ok(gunzipSync(bytes).equals(nar), `gzip NAR of ${name}`)
  return gzip.id
}

/** Names of the files in `objects/pack`, those that end so. */
export function packFiles(store: { gitDir: string }, suffix = '.pack'): string[] {
  return readdirSync(join(store.gitDir, 'objects/pack')).filter((name) => name.endsWith(suffix))
}

/** Names of the splice sidecars. */
export function sidecars(store: { gitDir: string }): string[] {
  return readdirSync(join(store.gitDir, 'gachix/splice'))
}

/** The same names without their beginning and end. */
export function idsOf(names: readonly string[]): string[] {
  return names.map((name) => /[0-9a-f]{40}/.exec(name)![0]).sort()
}
