/** One run of the benchmark, from the packages to the figures. */
import { availableParallelism } from 'node:os'

import { fetchNarinfo } from '../support/cache-client.ts'
import type { GachixNode } from '../support/gachix.ts'
import { Nginx } from '../support/nginx.ts'
import { until } from '../support/process.ts'
import type { Figure } from './figures.ts'
import { FramingCache } from './framing-cache.ts'
import { LoadClient } from './load-client.ts'
import { measureAdding } from './measure-adding.ts'
import { measureIngest } from './measure-ingest.ts'
import { measureLarge } from './measure-large.ts'
import { measureScale } from './measure-scale.ts'
import { measureNarinfos, measureNars, type ServingCaches } from './measure-serving.ts'
import { measureSubstitution } from './measure-substitution.ts'
import type { Options } from './options.ts'
import { OtherCaches } from './other-caches.ts'
import { PackageSet } from './package-set.ts'
import { cpuSeconds, machineCpuSeconds, peakMemory } from './process-stats.ts'
import { openCache } from './served-cache.ts'

export interface Results {
  readonly set: { readonly name: string; readonly paths: number; readonly narSize: number }
  readonly figures: readonly Figure[]
  /** Share of the processors' time that went to others meanwhile, 0 to 1. */
  readonly busyElsewhere: number
}

const FULL = { narBytes: 1e9, narinfosInTurn: 2_000, narinfosAtOnce: 20_000 }
const QUICK = { narBytes: 100e6, narinfosInTurn: 200, narinfosAtOnce: 2_000 }

/**
 * Measures everything. Programs that it started have ended when it returns or throws.
 *
 * @throws Error when something failed or a cache served anything wrong; the signal's reason when it fires
 */
export async function bench(options: Options, signal: AbortSignal): Promise<Results> {
  const began = { time: performance.now(), others: othersCpuSeconds() }
  const results = await measure(options, signal)
  const available = ((performance.now() - began.time) / 1000) * availableParallelism()
  return { ...results, busyElsewhere: Math.max(0, (othersCpuSeconds() - began.others) / available) }
}

/** CPU seconds so far of whatever is neither this process nor started by it. */
function othersCpuSeconds(): number {
  return machineCpuSeconds() - cpuSeconds([process.pid])
}

async function measure(options: Options, signal: AbortSignal): Promise<Omit<Results, 'busyElsewhere'>> {
  if (options.onlyExtra)
    return { set: { name: 'none', paths: 0, narSize: 0 }, figures: await measureExtra(options, signal) }
  const turns = { rounds: options.rounds, signal }
  const sizes = options.quick ? QUICK : FULL
  await using stack = new AsyncDisposableStack()
  progress('the packages')
  const set = stack.use(await PackageSet.open(options))
  const key = await set.store.signingKey('bench.test-1')

  const { gachix, folders, figures } = await measureIngest(set, key, { ...turns, xz: options.xz }, (what) =>
    progress(`writing: ${what}`),
  )
  stack.use(gachix)
  signal.throwIfAborted()

  const node = await gachix.serve()
  const nginx = stack.use(await Nginx.start([folders.get('none')!, folders.get('zstd')!]))
  progress('everything is fetched once and checked')
  const framing = stack.use(await FramingCache.start(set))
  const others = stack.use(await OtherCaches.start(set))
  const caches = { ...(await openCaches(set, node, nginx)), framing: framing.cache, others: others.caches }
  signal.throwIfAborted()

  const client = stack.use(new LoadClient())
  progress('narinfos')
  const warm = { ...turns, warmUp: true }
  const narinfos = await measureNarinfos(caches, client, sizes, warm)
  progress('NARs')
  const atStart = peakMemory(node.child.pid!)
  const nars = await measureNars(caches, set.narSize, client, sizes, warm)
  progress('nix copy --from')
  const { gzip, nginxNone, nginxZstd } = caches
  const copies = await measureSubstitution(set, gzip, [nginxNone, nginxZstd], key.publicKey, turns)
  const warmUp: Figure = {
    section: 'NARs, 16 connections',
    name: 'peak memory of the server while it was checked and served narinfos',
    unit: 'MB',
    product: [atStart / 1e6],
  }
  return {
    set: { name: set.name, paths: set.closure.length, narSize: set.narSize },
    figures: [...figures, ...narinfos, ...nars, warmUp, ...copies, ...(await measureExtra(options, signal))],
  }
}

/** What is measured only when it is asked for. */
async function measureExtra(options: Options, signal: AbortSignal): Promise<Figure[]> {
  const { scale, large, adding, quick } = options
  const figures: Figure[] = []
  if (adding) figures.push(...(await measureRequests(options, signal)))
  if (scale !== undefined)
    figures.push(...(await measureScale(scale, (what) => progress(`many packages: ${what}`), signal)))
  if (large)
    figures.push(...(await measureLarge(quick, (what) => progress(`large packages: ${what}`), signal)))
  return figures
}

async function measureRequests(options: Options, signal: AbortSignal): Promise<Figure[]> {
  progress('requests to a node that adds packages')
  await using stack = new AsyncDisposableStack()
  const set = stack.use(await PackageSet.open(options))
  const key = await set.store.signingKey('bench.test-1')
  return await measureAdding(set, key, stack.use(new LoadClient()), { rounds: options.rounds, signal })
}

async function openCaches(
  set: PackageSet,
  node: GachixNode,
  nginx: Nginx,
): Promise<Omit<ServingCaches, 'framing' | 'others'>> {
  const { closure } = set
  await gzipForAll(set, node)
  const own = { url: node.url, pid: node.child.pid!, compression: 'gzip' }
  const yardstick = (folder: number, compression: string) =>
    openCache(
      {
        name: `nginx, ${compression}`,
        url: nginx.url(folder),
        pid: nginx.pid,
        form: 'as named',
        compression,
      },
      closure,
    )
  return {
    gzip: await openCache({ ...own, name: 'gachix, gzip', form: 'as named' }, closure),
    plain: await openCache({ ...own, name: 'gachix, plain', form: 'plain' }, closure),
    nginxNone: await yardstick(0, 'none'),
    nginxZstd: await yardstick(1, 'zstd'),
  }
}

/** Waits until the node offers gzip for every package: it works their facts out in the background where they miss. */
async function gzipForAll(set: PackageSet, node: GachixNode): Promise<void> {
  for (const { path } of set.closure) {
    await until(
      () => `the gzip form of ${path}`,
      async () => {
        const narinfo = await fetchNarinfo(node.url, path)
        return narinfo?.fields.get('Compression') === 'gzip' ? true : undefined
      },
      60_000,
    )
  }
}

export function progress(what: string): void {
  process.stderr.write(`bench: ${what}\n`)
}
