/** One run: generation A into nothing, by turns, and then what B takes on top of it. */
import { Nginx } from '../../support/nginx.ts'
import { copyToFileCache, newFolder } from '../file-cache.ts'
import { PackageSet } from '../package-set.ts'
import { takeTurns } from '../rounds.ts'
import { type Contender, measure, type Sample, settle } from './contender.ts'
import { NginxContender } from './nginx.ts'
import type { Options } from './options.ts'
import { type Giver, Givers, PeersContender } from './peers.ts'
import { Place } from './place.ts'
import { GitContender, NixSshContender, sshdPid, startGiverSshd } from './ssh.ts'

export interface Results {
  readonly corpus: string
  readonly first: Part
  readonly update: Part
  /** Load average (1 minute) before and after. */
  readonly load: readonly [number, number]
}

/** What was copied, and every contender's samples. */
export interface Part {
  readonly packages: number
  readonly narSize: number
  readonly samples: ReadonlyMap<string, readonly Sample[]>
}

export async function bench(options: Options, load: () => number, signal: AbortSignal): Promise<Results> {
  const before = load()
  await using stack = new AsyncDisposableStack()
  const { corpus, rounds } = options
  const open = (generation: 'A' | 'B') =>
    PackageSet.open({
      corpus,
      generation,
      rounds,
      quick: false,
      xz: false,
      large: false,
      adding: false,
      onlyExtra: false,
    })
  progress('the packages')
  const set = stack.use(await open('A'))
  const next = stack.use(await open('B'))
  const key = await set.store.signingKey('bench.test-1')
  const place = stack.use(await Place.create())

  // Who gives has both generations from the start; who takes asks for one of them.
  const cache = await newFolder('zstd')
  for (const each of [set, next]) await copyToFileCache(each, cache, 'zstd', key.secretFile)
  const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`]
  const givers = stack.use(
    await Givers.start(set, place, [...set.roots, ...next.roots], { keyFile: key.secretFile, nodeFlags }),
  )
  const { giver } = place
  const nginx = stack.use(
    await Nginx.start([cache], { address: giver.address, wrap: (c) => giver.command(c) }),
  )
  const gitSshd = stack.use(await startGiverSshd(place))
  const gitPid = sshdPid()
  const nixSshd = stack.use(await startGiverSshd(place, set))
  const nixPid = sshdPid()

  const peers = (from: readonly Giver[]) =>
    stack.use(new PeersContender(place, from, { publicKey: key.publicKey, nodeFlags }))
  const contenders: Contender[] = [
    peers(givers.all.slice(0, 1)),
    peers(givers.all),
    new GitContender(place, gitSshd, gitPid, givers.repository),
    new NixSshContender(place, nixSshd, nixPid),
    new NginxContender(place, nginx, key.publicKey),
  ].filter(({ name }) => options.only === undefined || name.includes(options.only))

  if (options.warmUp) {
    for (const each of givers.all) {
      await using contender = peers([each])
      await contender.prepare()
      await contender.pull(set)
      await settle(contender)
      progress('a giver is warm')
    }
  }
  const first = await takeTurns(
    contenders,
    async (contender) => {
      await contender.prepare()
      const sample = await measure(contender, place, set)
      progress(`${contender.name}: ${sample.seconds.toFixed(1)} s, ${sample.cpuSeconds.toFixed(1)} s of CPU`)
      await contender.check(set.closure.length)
      await settle(contender)
      return sample
    },
    { rounds, signal, warmUp: options.warmUp },
  )
  const known = new Set(set.closure.map(({ path }) => path))
  const fresh = next.closure.filter(({ path }) => !known.has(path))
  const update = await takeTurns(
    contenders,
    async (contender) => {
      const sample = await measure(contender, place, next)
      progress(`${contender.name}, B after A: ${sample.seconds.toFixed(1)} s`)
      await contender.check(set.closure.length + fresh.length)
      await settle(contender)
      return sample
    },
    { rounds: 1, signal },
  )
  const narSize = fresh.reduce((sum, { narSize }) => sum + narSize, 0)
  return {
    corpus: set.name,
    first: { packages: set.closure.length, narSize: set.narSize, samples: named(first) },
    update: { packages: fresh.length, narSize, samples: named(update) },
    load: [before, load()],
  }
}

function named<R>(samples: ReadonlyMap<Contender, R>): Map<string, R> {
  return new Map([...samples].map(([{ name }, each]) => [name, each]))
}

export function progress(what: string): void {
  process.stderr.write(`bench: ${what}\n`)
}
