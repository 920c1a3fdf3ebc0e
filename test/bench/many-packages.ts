/** A repository of very many small packages, written directly: what the indexes and refs of a large cache are like. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DeflatePool } from '../../src/git/deflate/pool.ts'
import { hashObject, type Oid } from '../../src/git/oid.ts'
import { PackWriter } from '../../src/git/pack/writer.ts'
import { packageRef } from '../../src/git/refs/package-refs.ts'
import { Repository } from '../../src/git/repository.ts'
import { encodeTree } from '../../src/git/tree.ts'
import { SINGLE_FILE } from '../../src/store/names.ts'
import { packageCommit } from '../../src/store/package-commit.ts'
import { storedNarInfo } from '../../src/store/stored-narinfo.ts'
import { MODE } from '../../src/store/tree-builder.ts'
import { storePathOf } from '../support/memory-source.ts'
import { file, makePackage } from '../support/packages.ts'

/** Contents that differ: a million packages of one file each need not have a million files. */
export const CONTENTS = 1000
/** Packages whose objects are in one pack. */
const PACKAGES_A_PACK = 250_000
const PACKED_REFS_HEADER = '# pack-refs with: peeled fully-peeled sorted \n'

/** The tree of a package, by its number. */
export function treeOf(number: number): Oid {
  const blob = hashObject('blob', Buffer.from(contentsOf(number)))
  return hashObject('tree', encodeTree([{ mode: MODE.file, name: SINGLE_FILE, oid: blob }]))
}

function contentsOf(number: number): string {
  return `contents ${number % CONTENTS}\n`
}

/** The hash part of a package, by its number. */
export function hashOf(number: number): string {
  return storePathOf(nameOf(number)).hash
}

function nameOf(number: number): string {
  return `package-${number}`
}

/** Makes a repository with packages of the numbers 0 to `count - 1`; each but the first refers to one before it. */
export async function makeManyPackages(path: string, count: number): Promise<void> {
  const repository = await Repository.open(path, { create: true })
  const pool = new DeflatePool({ level: 1 })
  const refs: string[] = []
  const commits: Oid[] = []
  try {
    const written = new Set<Oid>()
    for (let first = 0; first < count; first += PACKAGES_A_PACK) {
      const { tmpDir, objectsDir, ownDir } = repository
      const writer = await PackWriter.create({ tmpDir, pool, level: 1, has: (oid) => written.has(oid) })
      for (let number = first; number < Math.min(count, first + PACKAGES_A_PACK); number++) {
        const contents = contentsOf(number)
        const references = number === 0 ? [] : [Math.floor(number / 2)]
        const { info } = makePackage(nameOf(number), file(contents), references.map(nameOf))
        const blob = writer.object('blob', Buffer.from(contents))
        const tree = writer.object('tree', encodeTree([{ mode: MODE.file, name: SINGLE_FILE, oid: blob }]))
        written.add(blob).add(tree)
        const parents = references.map((reference) => commits[reference]!)
        const commit = writer.object('commit', packageCommit(info.storePath, tree, parents))
        commits.push(commit)
        const { hash } = info.storePath
        refs.push(
          `${writer.object('blob', storedNarInfo(info, tree))} ${packageRef(hash, 'narinfo')}\n`,
          `${commit} ${packageRef(hash, 'result')}\n`,
        )
        await writer.ready()
      }
      await writer.finish(join(objectsDir, 'pack'), join(ownDir, 'splice'))
    }
  } finally {
    await pool.close()
  }
  refs.sort((a, b) => (a.slice(41) < b.slice(41) ? -1 : 1))
  const parts = [Buffer.from(PACKED_REFS_HEADER)]
  for (let at = 0; at < refs.length; at += 10_000)
    parts.push(Buffer.from(refs.slice(at, at + 10_000).join('')))
  await writeFile(join(repository.gitDir, 'packed-refs'), Buffer.concat(parts))
}
