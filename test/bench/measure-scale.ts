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
import { CONTENTS, hashOf, makeManyPackages, treeOf } from './many-packages.ts'
import { measureScaleMesh } from './measure-scale-mesh.ts'
import { NODE_FLAGS } from './node-flags.ts'
import { cpuSeconds, peakMemory } from './process-stats.ts'
import { quantile } from './stats.ts'

const LOOKUPS = 100_000
const REQUESTS = 2_000
const LINE_FEED = 10
/** A node of a mesh makes an inventory for its peers when it starts: that is measured apart. */
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
  onProgress('looking them up and adding')
  await measureStore(repository, count, add)
  signal.throwIfAborted()
  onProgress('two nodes of a mesh')
  // One was added.
  return [...figures, ...(await measureScaleMesh(repository, count + 1, signal))]
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
    const ask = async (
      path: (number: number, index: number) => string,
      expected: number,
    ): Promise<Float64Array> => {
      const latencies = new Float64Array(REQUESTS)
      for (let i = 0; i < REQUESTS; i++) {
        const asked = performance.now()
        const { status } = await connection.get(path(Math.floor((i * count) / REQUESTS), i))
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
    const nars = await ask((_number, index) => `/nar/${treeOf(index % CONTENTS)}.nar`, 200)
    add('plain NAR, first request for each tree, median', 'ms', quantile(nars.subarray(0, CONTENTS), 0.5))
    add('plain NAR, later requests, median', 'ms', quantile(nars.subarray(CONTENTS), 0.5))
    add('peak memory after these requests', 'MB', peakMemory(child.pid!) / 1e6)
    connection.close()
    for (const flags of [[], ['--json']]) {
      const name = ['gachix list', ...flags].join(' ')
      const before = cpuSeconds([child.pid!])
      const { seconds, clientCpu, clientPeak } = await listing(gachix, flags, count)
      add(`${name}, by the running node, all lines`, 's', seconds)
      add(`${name}, CPU of the node`, 's', cpuSeconds([child.pid!]) - before)
      add(`${name}, CPU of the command`, 's', clientCpu)
      add(`${name}, peak memory of the node`, 'MB', peakMemory(child.pid!) / 1e6)
      add(`${name}, peak memory of the command`, 'MB', clientPeak / 1e6)
    }
  } finally {
    await stopChild(child)
  }
}

/** Lists all packages and throws the lines away. */
async function listing(
  gachix: Gachix,
  flags: readonly string[],
  count: number,
): Promise<{ seconds: number; clientCpu: number; clientPeak: number }> {
  const began = performance.now()
  const child = gachix.spawn(['list', ...flags])
  let printed = 0
  let clientCpu = 0
  let clientPeak = 0
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === LINE_FEED) printed++
    clientCpu = Math.max(clientCpu, cpuSeconds([child.pid!]))
    clientPeak = Math.max(clientPeak, peakMemory(child.pid!))
  }
  const seconds = (performance.now() - began) / 1000
  // With --json there are the brackets.
  const lines = printed - (flags.length > 0 ? 2 : 0)
  if (lines !== count) throw new Error(`gachix list has ${lines} lines instead of ${count}`)
  return { seconds, clientCpu, clientPeak }
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
