/** Requests to a node that adds packages meanwhile, beside nginx while `nix copy` fills the folder of another cache. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Gachix } from '../support/gachix.ts'
import { Nginx } from '../support/nginx.ts'
import type { Figure } from './figures.ts'
import { copyToFileCache, newFolder } from './file-cache.ts'
import type { LoadClient } from './load-client.ts'
import type { LongTurn } from './loop-watch.ts'
import { NODE_FLAGS } from './node-flags.ts'
import type { PackageSet } from './package-set.ts'
import { type Turns, takeTurns } from './rounds.ts'
import { quantile } from './stats.ts'

const SECTION = 'Requests to a node that adds packages meanwhile'
/** Both caches have it, and neither looks anything up for it: what a request waits for is the server's turn. */
const REQUEST = '/nix-cache-info'
/** A turn that works longer holds requests up. */
const LONG_TURN = 5
/** Milliseconds between two requests. */
const PAUSE = 5
/** Requests between two looks at whether the packages are there. */
const REQUESTS = 20

/** What one round of a contender gave. */
interface Waits {
  /** Milliseconds of each request. */
  readonly latencies: readonly number[]
  /** Milliseconds of its processor that each turn of the server's loop took, where that is known. */
  readonly work?: readonly number[]
}

/** Has the product add the set and `nix copy` copy it, and asks a server of each for something every few milliseconds. */
export async function measureAdding(
  set: PackageSet,
  key: { secretFile: string },
  client: LoadClient,
  turns: Turns,
): Promise<Figure[]> {
  const product = { measure: () => whileAdding(set, key, client) }
  const nginx = { measure: () => whileCopying(set, key, client) }
  const waits = await takeTurns([product, nginx], ({ measure }) => measure(), turns)
  const own = waits.get(product)!
  const others = waits.get(nginx)!
  const parts: [string, number][] = [
    ['median', 0.5],
    ['p99', 0.99],
    ['max', 1],
  ]
  const latencies = parts.map(([name, fraction]) => {
    const of = (all: readonly Waits[]): number[] => all.map(({ latencies: each }) => quantile(each, fraction))
    const yardstick = { name: 'nginx beside nix copy, zstd', samples: of(others) }
    return { section: SECTION, name: `wait, ${name}`, unit: 'ms', product: of(own), yardstick }
  })
  const work = own.map(({ work: each = [] }) => each)
  return [
    ...latencies,
    {
      section: SECTION,
      name: 'longest work of the event loop in one turn, CPU',
      unit: 'ms',
      product: work.map((each) => Math.max(0, ...each)),
    },
    {
      section: SECTION,
      name: `turns with more than ${LONG_TURN} ms of work`,
      unit: '',
      product: work.map((each) => each.filter((cpu) => cpu > LONG_TURN).length),
    },
  ]
}

async function whileAdding(set: PackageSet, key: { secretFile: string }, client: LoadClient): Promise<Waits> {
  const folder = await mkdtemp(join(tmpdir(), 'watch-'))
  const file = join(folder, 'turns.json')
  await using gachix = await Gachix.create({
    daemonSocket: set.store.socket,
    keyFile: key.secretFile,
    nodeFlags: [...NODE_FLAGS, `--import=${join(import.meta.dirname, 'loop-watch.ts')}`],
    env: { BENCH_LOOP_WATCH: file },
  })
  const node = await gachix.serve()
  // Threads start and functions are compiled with the first package: once in the life of a node.
  await gachix.run(['add', set.closure[0]!.path])
  const began = Date.now()
  const latencies = await during(gachix.run(['add', ...set.roots]), client, Number(new URL(node.url).port))
  const ended = Date.now()
  await node.stop()
  const turns = JSON.parse(await readFile(file, 'utf8')) as LongTurn[]
  const work = turns.filter(({ at }) => at > began && at < ended).map(({ cpu }) => cpu)
  await rm(folder, { recursive: true })
  return { latencies, work }
}

async function whileCopying(
  set: PackageSet,
  key: { secretFile: string },
  client: LoadClient,
): Promise<Waits> {
  const folders = [await newFolder('served'), await newFolder('filled')] as const
  await copyToFileCache(
    { store: set.store, roots: [set.closure[0]!.path] },
    folders[0],
    'zstd',
    key.secretFile,
  )
  await using nginx = await Nginx.start([folders[0]])
  const copying = copyToFileCache(set, folders[1], 'zstd', key.secretFile)
  const latencies = await during(copying, client, Number(new URL(nginx.url(0)).port))
  for (const folder of folders) await rm(folder, { recursive: true })
  return { latencies }
}

/** Asks a server for something until the work is done. */
async function during(work: Promise<unknown>, client: LoadClient, port: number): Promise<number[]> {
  const state = { done: false }
  const ending = work.finally(() => {
    state.done = true
  })
  const size = await sizeOf(port)
  const latencies: number[] = []
  while (!state.done) {
    const job = { port, requests: [{ path: REQUEST, size }], connections: 1, count: REQUESTS, pause: PAUSE }
    latencies.push(...(await client.run(job)).latencies)
  }
  await ending
  return latencies
}

async function sizeOf(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${REQUEST}`)
  return (await response.arrayBuffer()).byteLength
}
