/** Reading over HTTP: narinfos and NARs from the product and from nginx, by the same client. */

import type { JobResult } from './client-messages.ts'
import type { Figure } from './figures.ts'
import type { LoadClient } from './load-client.ts'
import { cpuSeconds, peakMemory, resetPeakMemory } from './process-stats.ts'
import { type Turns, takeTurns } from './rounds.ts'
import type { ServedCache } from './served-cache.ts'
import { mean, quantile } from './stats.ts'

export interface ServingCaches {
  readonly gzip: ServedCache
  readonly plain: ServedCache
  readonly nginxNone: ServedCache
  readonly nginxZstd: ServedCache
  /** Plain files put into NARs by Node. */
  readonly framing: ServedCache
  /** Other programs that whoever runs the benchmark has brought. */
  readonly others: readonly ServedCache[]
}

export interface ServingSizes {
  /** Bytes of NAR that one sample fetches at least: the set is fetched over and over. */
  readonly narBytes: number
  /** Requests of one sample. */
  readonly narinfosInTurn: number
  readonly narinfosAtOnce: number
}

interface NarSample {
  /** For all NARs of the set once. */
  readonly seconds: number
  readonly latencies: Float64Array
  /** Of the server, for all that the sample fetched. */
  readonly cpu: number
  readonly peakBytes: number
}

/** Measures NARs: all of the set, by one connection and by 16. */
export async function measureNars(
  { gzip, plain, nginxNone, nginxZstd, framing, others }: ServingCaches,
  narSize: number,
  client: LoadClient,
  sizes: ServingSizes,
  turns: Turns,
): Promise<Figure[]> {
  const passes = Math.ceil(sizes.narBytes / narSize)
  const pairs: readonly [string, ServedCache, ServedCache][] = [
    ['gzip', gzip, nginxNone],
    ['gzip', gzip, nginxZstd],
    ['plain', plain, nginxNone],
    ['gzip', gzip, framing],
    ['plain', plain, framing],
    ...others.map((other): [string, ServedCache, ServedCache] => ['gzip', gzip, other]),
  ]
  const sample = async (cache: ServedCache, connections: number): Promise<NarSample> => {
    resetPeakMemory(cache.pid)
    const before = cpuSeconds([cache.pid])
    const { port, nars } = cache
    const result = await client.run({ port, requests: nars, connections, count: nars.length * passes })
    const cpu = cpuSeconds([cache.pid]) - before
    return {
      seconds: result.seconds / passes,
      latencies: result.latencies,
      cpu,
      peakBytes: peakMemory(cache.pid),
    }
  }

  const figures: Figure[] = []
  for (const connections of [1, 16]) {
    const work = (cache: ServedCache): Promise<NarSample> => sample(cache, connections)
    const samples = await takeTurns([gzip, plain, nginxNone, nginxZstd, framing, ...others], work, turns)
    const by = connections === 1 ? '1 connection' : `${connections} connections`
    const add = (name: string, unit: string, of: (sample: NarSample) => number, chosen = pairs): void => {
      for (const [form, product, yardstick] of chosen) {
        figures.push({
          section: `NARs, ${by}`,
          name: `${form}: ${name}`,
          unit,
          product: samples.get(product)!.map(of),
          yardstick: { name: yardstick.name, samples: samples.get(yardstick)!.map(of) },
        })
      }
    }
    add('all, wall', 's', ({ seconds }) => seconds)
    add('NAR throughput', 'MB/s', ({ seconds }) => narSize / 1e6 / seconds)
    add('CPU of the server for 1 GB of NAR', 's', ({ cpu }) => cpu / ((narSize * passes) / 1e9))
    const besidePlain = pairs.filter(([, , yardstick]) => yardstick === nginxNone)
    add('peak memory of the server', 'MB', ({ peakBytes }) => peakBytes / 1e6, besidePlain)
    if (connections > 1) continue
    for (const [name, of] of LATENCIES)
      add(`latency, ${name}`, 'ms', ({ latencies }) => of(latencies), besidePlain)
  }
  return figures
}

/** Measures narinfos: one after the other by one connection, and by 32 connections at once. */
export async function measureNarinfos(
  { gzip, nginxNone }: ServingCaches,
  client: LoadClient,
  sizes: ServingSizes,
  turns: Turns,
): Promise<Figure[]> {
  const contenders = [gzip, nginxNone]
  const fetch = async (cache: ServedCache, connections: number, count: number) => {
    const before = cpuSeconds([cache.pid])
    const result = await client.run({ port: cache.port, requests: cache.narinfos, connections, count })
    return { ...result, cpu: cpuSeconds([cache.pid]) - before }
  }
  const inTurn = await takeTurns(contenders, (cache) => fetch(cache, 1, sizes.narinfosInTurn), turns)
  const atOnce = await takeTurns(contenders, (cache) => fetch(cache, 32, sizes.narinfosAtOnce), turns)
  type Sample = JobResult & { readonly cpu: number }
  const figure = (
    samples: ReadonlyMap<ServedCache, readonly Sample[]>,
    by: string,
    name: string,
    unit: string,
    of: (sample: Sample) => number,
  ): Figure => ({
    section: 'Narinfos',
    name: `${by}: ${name}`,
    unit,
    product: samples.get(gzip)!.map(of),
    yardstick: { name: nginxNone.name, samples: samples.get(nginxNone)!.map(of) },
  })
  const one = '1 connection'
  const many = '32 connections'
  return [
    ...LATENCIES.map(([name, of]) =>
      figure(inTurn, one, `latency, ${name}`, 'ms', ({ latencies }) => of(latencies)),
    ),
    figure(atOnce, many, 'requests', '1/s', ({ latencies, seconds }) => latencies.length / seconds),
    figure(atOnce, many, 'latency, median', 'ms', ({ latencies }) => quantile(latencies, 0.5)),
    figure(atOnce, many, 'latency, p99', 'ms', ({ latencies }) => quantile(latencies, 0.99)),
    figure(
      atOnce,
      many,
      'CPU of the server for a request',
      'µs',
      ({ cpu, latencies }) => (cpu * 1e6) / latencies.length,
    ),
    figure(
      atOnce,
      many,
      'CPU of the client for a request',
      'µs',
      ({ clientCpuSeconds, latencies }) => (clientCpuSeconds * 1e6) / latencies.length,
    ),
  ]
}

const LATENCIES: readonly (readonly [string, (latencies: Float64Array) => number])[] = [
  ['median', (latencies) => quantile(latencies, 0.5)],
  ['p95', (latencies) => quantile(latencies, 0.95)],
  ['p99', (latencies) => quantile(latencies, 0.99)],
  ['max', (latencies) => quantile(latencies, 1)],
  ['mean', mean],
]
