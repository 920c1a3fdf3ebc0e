import { runLines } from './process.ts'

/** All objects, by id, that the references of a package (hash part) reach. */
export async function readRefs(repository: string, hash: string): Promise<string[]> {
  const refs = await runLines('git', ['-C', repository, 'for-each-ref', '--format=%(refname)'])
  const own = refs.filter((ref) => ref.includes(hash))
  if (own.length === 0) throw new Error(`no reference of ${hash} in ${repository}`)
  const lines = await runLines('git', [
    '-C',
    repository,
    'rev-list',
    '--objects',
    '--no-walk=unsorted',
    ...own,
  ])
  return [...new Set(lines.map((line) => line.slice(0, 40)))]
}
