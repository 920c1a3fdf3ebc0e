/** Packages of very many files and of a very large file: the first narinfo and NAR after a restart, later ones, and memory. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchNarinfo, treeOf } from '../support/cache-client.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import type { Figure } from './figures.ts'
import { folderSize } from './folder-size.ts'
import { HttpConnection } from './http-connection.ts'
import { addPackages, type LargePackage, largeFile, manyFiles } from './large-packages.ts'
import { NODE_FLAGS } from './node-flags.ts'
import { cpuSeconds, peakMemory, resetPeakMemory } from './process-stats.ts'

const FILES = 200_000
const FILE_BYTES = 10e9
const QUICK = { files: 20_000, fileBytes: 1e9 }
const SECTION = 'Large packages'

/** Makes the packages and measures them. @param quick smaller ones */
export async function measureLarge(
  quick: boolean,
  onProgress: (what: string) => void,
  signal: AbortSignal,
): Promise<Figure[]> {
  const repository = await mkdtemp(join(tmpdir(), 'large-'))
  const packages = quick
    ? [manyFiles(QUICK.files), largeFile(QUICK.fileBytes)]
    : [manyFiles(FILES), largeFile(FILE_BYTES)]
  onProgress('making them')
  const began = performance.now()
  const infos = await addPackages(repository, packages)
  const figures: Figure[] = []
  const add: Add = (name, unit, ...product) => {
    figures.push({ section: SECTION, name, unit, product })
  }
  add('making the packages in memory and adding them', 's', (performance.now() - began) / 1000)
  add('NARs', 'MB', infos.reduce((sum, { narSize }) => sum + narSize, 0) / 1e6)
  add('size on the disk', 'MB', (await folderSize(repository)).bytes / 1e6)
  for (const [index, made] of packages.entries()) {
    signal.throwIfAborted()
    onProgress(made.name)
    await measurePackage(repository, made, infos[index]!.storePath.toString(), add)
  }
  return figures
}

type Add = (name: string, unit: string, ...product: number[]) => void

/** Two starts: what is worked out for the first request of a package may be kept for the next start. */
async function measurePackage(
  repository: string,
  { name }: LargePackage,
  path: string,
  add: Add,
): Promise<void> {
  for (const start of ['first', 'second']) {
    await using gachix = await Gachix.create({ repository, nodeFlags: NODE_FLAGS })
    const node = await gachix.serve()
    const measure = (what: string, unit: string, ...product: number[]): void =>
      add(`${name}, ${start} start: ${what}`, unit, ...product)
    const hash = path.slice(path.lastIndexOf('/') + 1).split('-')[0]!
    const connection = await HttpConnection.open(Number(new URL(node.url).port))
    const timed = async (request: string): Promise<number> => {
      const began = performance.now()
      const { status } = await connection.get(request)
      if (status !== 200) throw new Error(`${request}: status ${status}`)
      return performance.now() - began
    }
    measure('first narinfo', 'ms', await timed(`/${hash}.narinfo`))
    measure('second narinfo', 'ms', await timed(`/${hash}.narinfo`))
    measure('first listing', 'ms', await timed(`/${hash}.ls`))
    measure('second listing', 'ms', await timed(`/${hash}.ls`))
    const narinfo = await fetchNarinfo(node.url, path)
    if (narinfo?.fields.get('Compression') !== 'gzip') throw new Error(`${name} is not offered as gzip`)
    await measureNar(node, 'gzip', () => timed(`/${narinfo.fields.get('URL')}`), measure)
    // A start makes the same difference to plain NARs, of which 10 GB take half a minute.
    if (start === 'first')
      await measureNar(node, 'plain', () => timed(`/nar/${treeOf(narinfo)}.nar`), measure)
    connection.close()
  }
}

async function measureNar(
  { child }: GachixNode,
  form: string,
  fetch: () => Promise<number>,
  measure: Add,
): Promise<void> {
  const pid = child.pid!
  resetPeakMemory(pid)
  const before = cpuSeconds([pid])
  measure(`first NAR, ${form}`, 's', (await fetch()) / 1000)
  measure(`first NAR, ${form}, CPU of the server`, 's', cpuSeconds([pid]) - before)
  measure(`second NAR, ${form}`, 's', (await fetch()) / 1000)
  measure(`peak memory, ${form}`, 'MB', peakMemory(pid) / 1e6)
}
