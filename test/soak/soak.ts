/** The order of things: five nodes join, are kept busy and in trouble, come to rest, and are looked at. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Network } from '../support/network.ts'
import { NixStore } from '../support/nix.ts'
import { eachOf } from '../support/process.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { fetchPackage } from './client.ts'
import { Member, type MemberInit } from './member.ts'
import type { Options } from './options.ts'
import { FOLLOWED, PackageMaker } from './packages.ts'
import {
  AT_REST,
  IN_USE_AT_REST,
  least,
  type Quantity,
  type Sample,
  STREAMS_AT_REST,
  type Trend,
  trendsOf,
} from './samples.ts'
import { allArrived, allConnected, checkRepositories } from './settle.ts'
import { Workload } from './workload.ts'

/** Two of the processes live from the start to the end: they show what grows slowly. */
const NODES: readonly (Pick<MemberInit, 'sync' | 'mortal'> & { readonly name: string })[] = [
  { name: 'a', sync: 'mirror', mortal: false },
  { name: 'b', sync: 'on-demand', mortal: false },
  { name: 'c', sync: 'mirror', mortal: true },
  { name: 'd', sync: FOLLOWED, mortal: true },
  { name: 'e', sync: 'on-demand', mortal: true },
]

/** Milliseconds between two looks at a node. */
const INTERVAL = 5_000
/** One look in so many is a thorough one. */
const THOROUGH = 4
/** The part of the time after which nodes are looked at at rest for the first time. */
const WARM = 0.4
/** Looks at a node at rest: what comes and goes, such as pings, is in few of them. */
const LOOKS_AT_REST = 5
/** Milliseconds that nodes are left alone before they are looked at at rest: connections to clients last 5 s. */
const REST = 20_000

export interface NodeReport {
  readonly name: string
  readonly sync: string
  readonly packages: number
  readonly lives: readonly { readonly seconds: number; readonly end: string; readonly trends: Trend[] }[]
  readonly peakRss: number
  readonly atRest: { readonly before: Sample; readonly after: Sample }
  readonly warnings: Readonly<Record<string, number>>
}

export interface SoakReport {
  readonly seed: number
  readonly minutes: number
  readonly problems: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  readonly bytesFetched: number
  readonly settled: number
  readonly nodes: readonly NodeReport[]
}

export async function soak(
  { minutes, seed, out }: Options,
  say: (line: string) => void,
): Promise<SoakReport> {
  await using stack = new AsyncDisposableStack()
  await mkdir(out, { recursive: true })
  const problems: string[] = []
  const problem = (what: string): void => {
    problems.push(`${new Date().toISOString()} ${what}`)
    say(`PROBLEM ${what}`)
  }
  const store = stack.use(await NixStore.start())
  const folder = await mkdtemp(join(tmpdir(), 'gachix-soak-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const members = await startMembers(stack, store, out, problem)
  await joinAll(members)
  say('all nodes know each other')
  const maker = new PackageMaker(store, folder, randomNumbers(seed))
  await warmUp(members, maker)

  const workload = new Workload({ members, maker, seed, problem })
  const watching = watch(members, problem)
  stack.defer(() => watching.stop())
  const settle = async (): Promise<{ packages: Map<string, number>; seconds: number }> => {
    const began = performance.now()
    let packages = new Map<string, number>()
    try {
      await allConnected(members)
      packages = await allArrived(members)
    } catch (error) {
      problem((error as Error).message)
    }
    return { packages, seconds: (performance.now() - began) / 1000 }
  }
  // Both looks at rest are at nodes that have been through the same: one long enough to have made them warm.
  await workload.run(minutes * 60_000 * WARM)
  await settle()
  await delay(REST)
  const before = await lookAtAll(members)
  say('looked at nodes at rest; going on')
  await workload.run(minutes * 60_000 * (1 - WARM))
  say('the work is done; settling')
  const { packages, seconds: settled } = await settle()
  await watching.stop()
  await delay(REST)
  const after = await lookAtAll(members)
  await checkHashes(store, workload, problem)
  await checkRepositories(members)

  const nodes = members.map((member, index): NodeReport => {
    const rest = { before: before[index]!, after: after[index]! }
    return reportOf(member, packages.get(member.name) ?? 0, rest)
  })
  return {
    ...{ seed, minutes, problems, settled, nodes },
    counts: workload.counts,
    bytesFetched: workload.bytesFetched,
  }
}

async function startMembers(
  stack: AsyncDisposableStack,
  store: NixStore,
  out: string,
  problem: (what: string) => void,
): Promise<Member[]> {
  const network = stack.use(await Network.create())
  const members: Member[] = []
  for (const { name, sync, mortal } of NODES) {
    const host = await network.host(name)
    const init = { host, sync, mortal, out, daemonSocket: store.socket }
    const member = stack.use(await Member.create({ ...init, problem: (what) => problem(`${name}: ${what}`) }))
    await member.start()
    members.push(member)
  }
  return members
}

/** One bootstrap address is enough to join, and everybody trusts everybody. */
async function joinAll(members: readonly Member[]): Promise<void> {
  const [first, ...others] = members as [Member, ...Member[]]
  const { command } = JSON.parse(await first.gachix.run(['peer', 'invite', '--json']))
  const [, ...args] = command.replaceAll("'", '').split(' ')
  for (const { gachix } of others) await gachix.run(args)
  const keys: string[] = []
  for (const { gachix } of members) keys.push((await gachix.run(['key', 'show'])).trim())
  await eachOf(members, members.length, async ({ gachix }) => {
    for (const key of keys) await gachix.run(['trust', 'add', key])
  })
  await allConnected(members)
}

/** Has every node do everything once, so that it has its threads and what else it keeps. */
async function warmUp(members: readonly Member[], maker: PackageMaker): Promise<void> {
  const paths: string[] = []
  for (const member of members) {
    const path = await maker.makeLarge()
    await member.gachix.run(['add', path])
    paths.push(path)
  }
  await eachOf(members, members.length, async (member) => {
    await member.gachix.run(['sync', ...paths])
    for (const path of paths) {
      member.promised.add(path)
      const { outcome } = await fetchPackage(member.url!, path)
      if (outcome !== 'whole') member.init.problem(`${path} is ${outcome}, and was pulled before`)
    }
  })
}

async function lookAtAll(members: readonly Member[]): Promise<Sample[]> {
  const looks: Sample[][] = []
  for (let i = 0; i < LOOKS_AT_REST; i++) {
    const round: Sample[] = []
    for (const member of members) round.push((await member.look(true))!)
    looks.push(round)
    await delay(1000)
  }
  return members.map((_, index) => least(looks.map((round) => round[index]!)))
}

function watch(members: readonly Member[], problem: (what: string) => void): { stop(): Promise<void> } {
  const ending = new AbortController()
  const running = (async () => {
    for (let looks = 0; !ending.signal.aborted; looks++) {
      for (const member of members) {
        await member
          .look(looks % THOROUGH === 0)
          .catch((error: Error) => problem(`${member.name} gives no status: ${error.message}`))
      }
      await delay(INTERVAL, undefined, { signal: ending.signal }).catch(() => {})
    }
  })()
  return {
    async stop() {
      ending.abort()
      await running
    },
  }
}

/** What was served is what Nix has. */
async function checkHashes(
  store: NixStore,
  { narHashes }: Workload,
  problem: (what: string) => void,
): Promise<void> {
  if (narHashes.size === 0) return
  for (const { path, narHash } of await store.facts([...narHashes.keys()])) {
    if (narHashes.get(path) !== narHash) problem(`${path} was served with another NAR than Nix has`)
  }
}

function reportOf(member: Member, packages: number, atRest: NodeReport['atRest']): NodeReport {
  const { problem, sync } = member.init
  const lives = member.lives.map(({ samples, end }) => ({
    seconds: Math.round(samples.at(-1)?.age ?? 0),
    end: end ?? 'running',
    trends: trendsOf(samples),
  }))
  for (const { seconds, trends } of lives) {
    for (const { quantity, early, late, grew } of trends) {
      if (grew) problem(`${quantity} grew from ${early} to ${late} within ${seconds} s`)
    }
  }
  for (const [quantity, more] of Object.entries(AT_REST) as [Quantity, number][]) {
    const [was, is] = [atRest.before[quantity]!, atRest.after[quantity]!]
    if (is > was + more) problem(`${quantity} at rest: ${was} in the middle, ${is} at the end`)
  }
  const { connections, streams } = atRest.after
  const others = NODES.length - 1
  if (connections > others) problem(`${connections} connections at rest, to ${others} other nodes`)
  if (streams > STREAMS_AT_REST * others) problem(`${streams} streams at rest, to ${others} other nodes`)
  const [was, is] = [atRest.before.inUse!, atRest.after.inUse!]
  const sameProcess = atRest.after.age > atRest.before.age && !member.init.mortal
  if (sameProcess && is > was + IN_USE_AT_REST)
    problem(`memory in use at rest: ${was} in the middle, ${is} at the end`)
  const peakRss = Math.max(...member.lives.flatMap(({ samples }) => samples.map(({ rss }) => rss)))
  return {
    ...{ name: member.name, packages, lives, peakRss, atRest },
    sync: typeof sync === 'string' ? sync : sync.join(' '),
    warnings: Object.fromEntries(member.warnings),
  }
}
