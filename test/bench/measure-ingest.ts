/** Writing: `gachix add` through the daemon beside `nix copy` into file caches, and what the results take. */
import { rm } from 'node:fs/promises'
import { Gachix } from '../support/gachix.ts'
import { run } from '../support/process.ts'
import type { Figure } from './figures.ts'
import { copyToFileCache, type FileCompression, newFolder } from './file-cache.ts'
import { type FolderSize, folderSize } from './folder-size.ts'
import { NODE_FLAGS } from './node-flags.ts'
import type { PackageSet } from './package-set.ts'
import { type Cost, measured } from './process-stats.ts'
import { type Turns, takeTurns } from './rounds.ts'

/** More rounds than this say little more, and each writes everything. */
const MOST_ROUNDS = 3

/** What the last round left, for serving. */
export interface Ingested {
  readonly gachix: Gachix
  readonly folders: ReadonlyMap<FileCompression, string>
  readonly figures: readonly Figure[]
}

interface Contender {
  readonly name: string
  /** Removes what the last round left, if anything. */
  clear(): Promise<void>
  /** The measured part; gives the folder that was written. */
  write(): Promise<string>
  readonly beside: readonly number[]
  folder?: string
}

/** Adds the set to new repositories and copies it into new file caches, by turns. The caller closes `gachix`. */
export async function measureIngest(
  set: PackageSet,
  key: { secretFile: string },
  turns: Turns & { readonly xz: boolean },
  onProgress: (what: string) => void,
): Promise<Ingested> {
  let gachix: Gachix | undefined
  const product: Contender = {
    name: 'gachix add',
    beside: [set.daemonPid],
    async clear() {
      await gachix?.close()
      gachix = await Gachix.create({
        daemonSocket: set.store.socket,
        keyFile: key.secretFile,
        nodeFlags: NODE_FLAGS,
      })
      // What was compiled of the program is kept beside it: that is not to be in one round only.
      await gachix.run(['--version'])
    },
    async write() {
      await gachix!.run(['add', ...set.roots])
      return gachix!.repository
    },
  }
  const [none, zstd, xz] = (['none', 'zstd', 'xz'] as const).map((compression) =>
    copyContender(set, compression, key),
  ) as [Contender, Contender, Contender]
  const copies = turns.xz ? [none, zstd, xz] : [none, zstd]
  const limited = { ...turns, rounds: Math.min(turns.rounds, MOST_ROUNDS) }
  try {
    // Reads every file once, so that none of them comes from the disk later.
    await none.clear()
    await none.write()
    const work = async (contender: Contender): Promise<Cost> => {
      onProgress(contender.name)
      await contender.clear()
      // What the one before wrote is on the disk before this one starts.
      await run('sync', [])
      return measured(async () => {
        contender.folder = await contender.write()
      }, contender.beside)
    }
    const costs = await takeTurns([product, none, zstd], work, limited)
    if (turns.xz) costs.set(xz, (await takeTurns([xz], work, { ...turns, rounds: 1 })).get(xz)!)
    return {
      gachix: gachix!,
      folders: new Map([
        ['none', none.folder!],
        ['zstd', zstd.folder!],
      ]),
      figures: [
        ...ingestFigures(
          set,
          costs.get(product)!,
          copies.map((each) => [each.name, costs.get(each)!]),
        ),
        ...(await sizeFigures(set, product.folder!, copies)),
      ],
    }
  } catch (error) {
    await gachix?.close()
    throw error
  }
}

function copyContender(
  set: PackageSet,
  compression: FileCompression,
  key: { secretFile: string },
): Contender {
  let folder: string | undefined
  return {
    name: `nix copy, ${compression}`,
    beside: [],
    async clear() {
      if (folder !== undefined) await rm(folder, { recursive: true })
      folder = await newFolder(compression)
    },
    async write() {
      await copyToFileCache(set, folder!, compression, key.secretFile)
      return folder!
    },
  }
}

function ingestFigures(
  set: PackageSet,
  product: readonly Cost[],
  yardsticks: readonly (readonly [string, readonly Cost[]])[],
): Figure[] {
  const parts: { name: string; unit: string; of: (cost: Cost) => number }[] = [
    { name: 'all packages, wall', unit: 's', of: ({ seconds }) => seconds },
    { name: 'NAR throughput', unit: 'MB/s', of: ({ seconds }) => set.narSize / 1e6 / seconds },
    { name: 'CPU (the daemon counts too)', unit: 's', of: (cost) => cost.cpuSeconds },
    { name: 'peak memory', unit: 'MB', of: ({ peakBytes }) => peakBytes / 1e6 },
  ]
  return parts.flatMap(({ name, unit, of }) =>
    yardsticks.map(([yardstick, costs]) => ({
      section: 'Writing: `gachix add`',
      name,
      unit,
      product: product.map(of),
      yardstick: { name: yardstick, samples: costs.map(of) },
    })),
  )
}

async function sizeFigures(
  set: PackageSet,
  repository: string,
  copies: readonly Contender[],
): Promise<Figure[]> {
  const section = 'Size of everything'
  const own = await folderSize(repository)
  const caches: [string, FolderSize][] = []
  for (const { name, folder } of copies) caches.push([name, await folderSize(folder!)])
  const raw = { name: 'raw NARs', samples: [set.narSize / 1e6] }
  const figure = (name: string, of: (size: FolderSize) => number, others = caches): Figure[] =>
    others.map(([yardstick, size]) => ({
      section,
      name,
      unit: 'MB',
      product: [of(own) / 1e6],
      yardstick: { name: yardstick, samples: [of(size) / 1e6] },
    }))
  return [
    { section, name: 'files', unit: 'MB', product: [own.bytes / 1e6], yardstick: raw },
    ...figure('files', ({ bytes }) => bytes),
    ...figure('blocks on the disk', ({ allocated }) => allocated),
    {
      section,
      name: 'number of files',
      unit: '',
      product: [own.files],
      yardstick: { name: caches[0]![0], samples: [caches[0]![1].files] },
    },
  ]
}
