import type { RemotePackage } from '../../src/store/api.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { noise } from './git-fixture.ts'
import { chunksOf, directory, file, type MadePackage, makePackage, sampleClosure } from './packages.ts'
import { runLines } from './process.ts'

/** A closure whose last package has two MiB that do not compress. */
export function bulkyClosure(): MadePackage[] {
  const bulk = directory({ bulk: file(noise(2 * 1024 * 1024, 7)), small: file('small\n') })
  return [...sampleClosure(), makePackage('bulky', bulk, ['large', 'tool'])]
}

/** Has gachix write a repository with that closure. */
export async function publishClosure(path: string): Promise<void> {
  const store = await GitPackageStore.open({ path })
  try {
    const session = store.ingest()
    for (const { info, nar } of bulkyClosure()) await session.add(info, chunksOf(nar))
    await session.finish()
  } finally {
    await store.close()
  }
}

/** The packages of such a repository as Git tells them, references first. */
export async function packagesIn(gitDir: string): Promise<RemotePackage[]> {
  const refs = new Map<string, string>()
  for (const line of await runLines('git', [
    '-C',
    gitDir,
    'for-each-ref',
    '--format=%(refname) %(objectname)',
  ])) {
    refs.set(...(line.split(' ') as [string, string]))
  }
  return bulkyClosure().map(({ info }) => {
    const { hash } = info.storePath
    return { hash, narinfo: refs.get(`refs/${hash}/narinfo`)!, commit: refs.get(`refs/${hash}/result`)! }
  })
}
