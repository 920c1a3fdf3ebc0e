/** CPU profiles of the product under the benchmark's work: where the time goes, by function. */
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Gachix } from '../support/gachix.ts'
import { progress } from './bench.ts'
import { LoadClient } from './load-client.ts'
import type { Options } from './options.ts'
import { PackageSet } from './package-set.ts'
import { openCache, type ServedCache } from './served-cache.ts'

/** Functions in a list. */
const TOP = 15
const NAR_BYTES = 3e9
const NARINFOS = 40_000

/** What V8 writes. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

/**
 * Profiles `add`, and `serve` at gzip NARs, plain NARs and narinfos, each in a process of its own, and keeps the profiles
 * in `folder`, one file a thread.
 *
 * @returns Markdown: the functions with the most time of their own
 */
export async function profile(options: Options, folder: string, signal: AbortSignal): Promise<string> {
  await using stack = new AsyncDisposableStack()
  const set = stack.use(await PackageSet.open(options))
  const key = await set.store.signingKey('bench.test-1')
  const base = stack.use(await Gachix.create({ daemonSocket: set.store.socket, keyFile: key.secretFile }))
  const client = stack.use(new LoadClient())
  const profiled = async (what: string, work: (gachix: Gachix) => Promise<void>): Promise<string> => {
    signal.throwIfAborted()
    progress(`profile: ${what}`)
    const target = join(folder, what.replaceAll(' ', '-'))
    await mkdir(target, { recursive: true })
    const nodeFlags = ['--cpu-prof', `--cpu-prof-dir=${target}`]
    const gachix = await Gachix.create({
      repository: base.repository,
      daemonSocket: set.store.socket,
      keyFile: key.secretFile,
      nodeFlags,
    })
    try {
      await work(gachix)
    } finally {
      await gachix.close()
    }
    return `### ${what}\n\n${await summary(target)}`
  }
  const served = (form: 'as named' | 'plain', use: (cache: ServedCache) => Promise<unknown>) => {
    return async (gachix: Gachix): Promise<void> => {
      const node = await gachix.serve()
      const where = { name: 'gachix', url: node.url, pid: node.child.pid!, compression: 'gzip', form }
      await use(await openCache(where, set.closure))
      await node.stop()
    }
  }
  const passes = Math.ceil(NAR_BYTES / set.narSize)
  const nars = ({ port, nars: requests }: ServedCache) =>
    client.run({ port, requests, connections: 1, count: requests.length * passes })
  const narinfos = ({ port, narinfos: requests }: ServedCache) =>
    client.run({ port, requests, connections: 32, count: NARINFOS })

  const parts = [
    await profiled('add', async (gachix) => {
      await gachix.run(['add', ...set.roots])
    }),
    await profiled('serve gzip NARs', served('as named', nars)),
    await profiled('serve plain NARs', served('plain', nars)),
    await profiled('serve narinfos', served('as named', narinfos)),
  ]
  return parts.join('\n')
}

/** A table for each thread that was busy, the busiest first. */
async function summary(folder: string): Promise<string> {
  const threads = []
  for (const name of await readdir(folder)) {
    const profile = JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile
    threads.push(selfTimes(profile))
  }
  threads.sort((a, b) => b.busy - a.busy)
  const tables = threads.map(({ busy, idle, times }, index) => {
    const rows = times
      .slice(0, TOP)
      .map(([name, time]) => `| ${((100 * time) / busy).toFixed(1)} % | ${name} |\n`)
      .join('')
    return `Thread ${index + 1}: ${busy.toFixed(2)} s busy, ${idle.toFixed(2)} s idle\n\n| of busy | function |\n| --: | --- |\n${rows}`
  })
  return tables.join('\n')
}

function selfTimes({ nodes, samples, timeDeltas }: CpuProfile) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  let idle = 0
  let busy = 0
  for (const [index, id] of samples.entries()) {
    const seconds = (timeDeltas[index] ?? 0) / 1e6
    const name = names.get(id) ?? ''
    if (name === '(idle)') idle += seconds
    else {
      busy += seconds
      times.set(name, (times.get(name) ?? 0) + seconds)
    }
  }
  return { busy, idle, times: [...times].sort(([, a], [, b]) => b - a) }
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const place = /(?:dist\/|node_modules\/)(.*)$/.exec(url)?.[1] ?? url
  const name = functionName || 'anonymous'
  return place === '' ? name : `${name} (${place}:${lineNumber + 1})`
}
