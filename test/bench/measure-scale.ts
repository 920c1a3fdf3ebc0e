/** A repository of very many packages: starting, looking up, adding, listing, and the memory that it takes. */
import type { ChildProcess } from 'node:child_process'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { Gachix } from '../support/gachix.ts'
import { chunksOf, file, makePackage } from '../support/packages.ts'
import { freePort, stopChild } from '../support/process.ts'
import type { Figure } from './figures.ts'
import { folderSize } from './folder-size.ts'
import { HttpConnection } from './http-connection.ts'
import { hashOf, makeManyPackages } from './many-packages.ts'
import { NODE_FLAGS } from './node-flags.ts'
import { peakMemory } from './process-stats.ts'
import { quantile } from './stats.ts'

const LOOKUPS = 100_000
const REQUESTS = 2_000
const LISTED = 20_000
const LINE_FEED = 10
/** A node of a mesh makes an inventory for its peers when it starts, and serves when that is done. */
const WITHOUT_MESH = { GACHIX__MESH__ENABLED: 'false' }
/** Milliseconds between two attempts to get a first answer. */
const POLL = 5
const SECTION = 'A repository of many packages'

/** Makes a repository of `count` packages and measures it. */
export async function measureScale(
  count: number,
  onProgress: (what: string) => void,
  signal: AbortSignal,
): Promise<Figure[]> {
  const repository = await mkdtemp(join(tmpdir(), 'many-'))
  onProgress(`making ${count} packages`)
  await makeManyPackages(repository, count)
  signal.throwIfAborted()
  return measureRepository(repository, count, onProgress, signal)
}

/** Measures a repository that `makeManyPackages` made. */
export async function measureRepository(
  repository: string,
  count: number,
  onProgress: (what: string) => void,
  signal: AbortSignal,
): Promise<Figure[]> {
  const figures: Figure[] = []
  const add = (name: string, unit: string, ...product: number[]): void => {
    figures.push({ section: SECTION, name, unit, product })
  }
  add('packages', '', count)
  add('size on the disk', 'MB', (await folderSize(repository)).bytes / 1e6)
  onProgress('serving them')
  await measureNode(repository, count, add)
  signal.throwIfAborted()
  onProgress('looking them up, adding and listing')
  await measureStore(repository, count, add)
  return figures
}

type Add = (name: string, unit: string, ...product: number[]) => void

async function measureNode(repository: string, count: number, add: Add): Promise<void> {
  await using gachix = await Gachix.create({ repository, env: WITHOUT_MESH, nodeFlags: NODE_FLAGS })
  await gachix.run(['--version'])
  const port = await freePort()
  const began = performance.now()
  const child = gachix.spawn(['serve'], { GACHIX__SERVER__PORT: String(port) })
  try {
    const connection = await firstAnswer(child, port, `/${hashOf(0)}.narinfo`)
    add('start of the program to the first narinfo', 's', (performance.now() - began) / 1000)
    add('peak memory by then', 'MB', peakMemory(child.pid!) / 1e6)
    const ask = async (path: (number: number) => string, expected: number): Promise<Float64Array> => {
      const latencies = new Float64Array(REQUESTS)
      for (let i = 0; i < REQUESTS; i++) {
        const asked = performance.now()
        const { status } = await connection.get(path(Math.floor((i * count) / REQUESTS)))
        latencies[i] = performance.now() - asked
        if (status !== expected) throw new Error(`status ${status} instead of ${expected}`)
      }
      return latencies
    }
    const first = await ask((number) => `/${hashOf(number)}.narinfo`, 200)
    const again = await ask((number) => `/${hashOf(number)}.narinfo`, 200)
    const missing = await ask((number) => `/${hashOf(count + number)}.narinfo`, 404)
    add('narinfo, first request for each package, median', 'ms', quantile(first, 0.5))
    add('narinfo, first request for each package, p99', 'ms', quantile(first, 0.99))
    add('narinfo, later requests, median', 'ms', quantile(again, 0.5))
    add('narinfo of a package that is not there, median', 'ms', quantile(missing, 0.5))
    add('peak memory after these requests', 'MB', peakMemory(child.pid!) / 1e6)
    connection.close()
    const listed = Math.min(count, LISTED)
    add(`gachix list, by the running node, the first ${listed} lines`, 's', await listing(gachix, listed))
    add('peak memory after listing', 'MB', peakMemory(child.pid!) / 1e6)
  } finally {
    await stopChild(child)
  }
}

/** Seconds until `gachix list` has printed so many lines. */
async function listing(gachix: Gachix, lines: number): Promise<number> {
  const began = performance.now()
  const child = gachix.spawn(['list'])
  let printed = 0
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === LINE_FEED) printed++
    if (printed >= lines) break
  }
  const seconds = (performance.now() - began) / 1000
  await stopChild(child)
  if (printed < lines) throw new Error(`gachix list has ${printed} lines instead of ${lines}`)
  return seconds
}

/** A connection on which the first answer has come. */
async function firstAnswer(child: ChildProcess, port: number, path: string): Promise<HttpConnection> {
  for (const deadline = Date.now() + 120_000; ; ) {
    try {
      const connection = await HttpConnection.open(port)
      const { status } = await connection.get(path)
      if (status === 200) return connection
      throw new Error(`${path}: status ${status}`)
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) throw error
      await new Promise((resolve) => setTimeout(resolve, POLL))
    }
  }
}

async function measureStore(repository: string, count: number, add: Add): Promise<void> {
  const hashes = Array.from({ length: LOOKUPS }, (_, i) => hashOf(Math.floor((i * 2 * count) / LOOKUPS)))
  const opening = performance.now()
  const store = await GitPackageStore.open({ path: repository })
  try {
    add('opening the store', 's', (performance.now() - opening) / 1000)
    const looking = performance.now()
    let found = 0
    for (const hash of hashes) if (store.has(hash)) found++
    add('look-up of a package, half of them there', 'ms', (performance.now() - looking) / LOOKUPS)
    if (found !== LOOKUPS / 2) throw new Error(`${found} of ${LOOKUPS / 2} packages were found`)
    const made = makePackage('added-to-many', file('one more\n'))
    const adding = performance.now()
    const session = store.ingest()
    await session.add(made.info, chunksOf(made.nar))
    await session.finish()
    add('adding a package', 'ms', performance.now() - adding)
  } finally {
    const closing = performance.now()
    await store.close()
    add('closing the store, which rewrites packed-refs', 's', (performance.now() - closing) / 1000)
  }
}
