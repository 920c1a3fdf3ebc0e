/** What the nodes go through: everything at once, each kind of thing in a loop of its own with choices of its own. */
import { setTimeout as delay } from 'node:timers/promises'
import type { RunResult } from '../support/process.ts'
import { randomNumbers } from '../support/random-numbers.ts'
import { BadAnswerError, fetchPackage } from './client.ts'
import type { Member } from './member.ts'
import type { PackageMaker } from './packages.ts'
import { Weather } from './weather.ts'

export interface WorkloadInit {
  readonly members: readonly Member[]
  readonly maker: PackageMaker
  readonly seed: number
  readonly problem: (what: string) => void
}

/** Seconds between two of a kind, from and to. */
const PAUSES = {
  add: [1, 6],
  sync: [2, 8],
  fetch: [0.1, 1],
  trouble: [10, 40],
} as const

type Kind = keyof typeof PAUSES

/** How many of a kind go on at the same time. */
const AT_ONCE: Readonly<Record<Kind, number>> = { add: 2, sync: 1, fetch: 3, trouble: 1 }
/** Most seconds that a node is without network, or down. */
const LONGEST_ABSENCE = 25

export class Workload {
  /** How often what happened. */
  readonly counts: Record<string, number> = {}
  /** Roots that some node has. */
  readonly published: string[] = []
  /** What the packages' NARs have to be, by what nodes said; one and the same for all of them. */
  readonly narHashes = new Map<string, string>()
  bytesFetched = 0
  readonly #init: WorkloadInit
  readonly #weather = new Weather()
  #ending = new AbortController()
  #generators = 0

  constructor(init: WorkloadInit) {
    this.#init = init
  }

  /** Goes on for so long, and can do so again; everything that was begun has ended then, and all nodes run and have their network. */
  async run(milliseconds: number): Promise<void> {
    this.#ending = new AbortController()
    const timer = setTimeout(() => this.#ending.abort(), milliseconds)
    try {
      await Promise.all([
        ...this.#loops('add', (random) => this.#add(random)),
        ...this.#loops('sync', (random) => this.#sync(random)),
        ...this.#loops('fetch', (random) => this.#fetch(random)),
        ...this.#loops('trouble', (random) => this.#trouble(random)),
      ])
    } finally {
      clearTimeout(timer)
      this.#ending.abort()
    }
  }

  #loops(kind: Kind, work: (random: () => number) => Promise<void>): Promise<void>[] {
    return Array.from({ length: AT_ONCE[kind] }, () => this.#loop(kind, work))
  }

  async #loop(kind: Kind, work: (random: () => number) => Promise<void>): Promise<void> {
    const random = randomNumbers(this.#init.seed * 100 + this.#generators++)
    const [shortest, longest] = PAUSES[kind]
    for (;;) {
      await this.#pause(shortest + random() * (longest - shortest))
      if (this.#ending.signal.aborted) return
      await work(random)
    }
  }

  async #pause(seconds: number): Promise<void> {
    await delay(seconds * 1000, undefined, { signal: this.#ending.signal }).catch(() => {})
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  async #add(random: () => number): Promise<void> {
    const path = await this.#init.maker.make()
    const member = this.#any(random)
    if (member === undefined) return
    const { disturbances } = member
    const result = await member.command(['add', path])
    if (result.code === 0) {
      this.#count('added')
      member.promised.add(path)
      this.published.push(path)
    } else this.#failed('add', member, result, member.disturbances !== disturbances)
  }

  async #sync(random: () => number): Promise<void> {
    const member = this.#any(random)
    if (member === undefined || this.published.length === 0) return
    const path = this.#recent(random)
    // Now and then everything that others have, which makes even a node on demand a mirror of one moment.
    const all = random() < 0.03
    const began = Date.now()
    const result = await member.command(all ? ['sync'] : ['sync', path])
    if (result.code === 0) {
      this.#count(all ? 'synced everything' : 'synced')
      if (!all) member.promised.add(path)
    } else this.#failed('sync', member, result, !this.#weather.wasCalm(began))
  }

  /** A command failed: excused when something was done to the node meanwhile and the command knows what it failed of. */
  #failed(name: string, member: Member, { code, signal, stderr }: RunResult, excused: boolean): void {
    const error = /\[(ERR_\w+)\]\s*$/.exec(stderr.trim())?.[1]
    this.#count(`${name} failed: ${error ?? 'without a code'}${excused ? '' : ', with no excuse'}`)
    if (excused && error !== undefined) return
    this.#init.problem(`gachix ${name} on ${member.name}: ${code ?? signal}: ${stderr.trim().slice(-1000)}`)
  }

  async #fetch(random: () => number): Promise<void> {
    const member = this.#any(random)
    if (member === undefined || !member.plugged || this.published.length === 0) return
    const path = this.#recent(random)
    const { url, disturbances, life } = member
    const promised = member.promised.has(path)
    const problem = (what: string) => this.#init.problem(`fetching from ${member.name}: ${what}`)
    try {
      const fetched = await fetchPackage(url!, path)
      this.#count(`fetched: ${fetched.outcome}`)
      if (fetched.outcome !== 'whole') {
        if (promised && life.end === undefined) problem(`${path} is ${fetched.outcome}, and was there before`)
        return
      }
      member.promised.add(path)
      this.bytesFetched += fetched.bytes
      const known = this.narHashes.get(path)
      this.narHashes.set(path, fetched.narHash)
      if (known !== undefined && known !== fetched.narHash) problem(`${path} has two NAR hashes`)
    } catch (error) {
      const { message } = error as Error
      // Of a NAR that began a node that is asked to stop sends the rest; only a kill or a cut cable excuses.
      const cutShort = message === 'aborted' && life.end === 'stopped' && member.plugged
      const disturbed = member.disturbances !== disturbances && !cutShort
      if (error instanceof BadAnswerError || !disturbed) {
        problem(`${message} (the process ${life.end ?? 'runs'})`)
      } else this.#count('fetch cut off')
    }
  }

  async #trouble(random: () => number): Promise<void> {
    const { members } = this.#init
    const absence = 1 + random() * (LONGEST_ABSENCE - 1)
    const kind = random()
    await this.#weather.storm(async () => {
      if (kind < 0.4) return this.#unplug(random, absence)
      const mortals = members.filter(({ init }) => init.mortal)
      const member = pick(mortals, random)
      const signal = kind < 0.8 ? 'SIGKILL' : 'SIGTERM'
      this.#count(signal === 'SIGKILL' ? 'killed' : 'stopped')
      await member.end(signal)
      if (random() < 0.5) await this.#pause(absence)
      await member.start()
    })
  }

  /** One or two nodes lose their network, each for itself. */
  async #unplug(random: () => number, absence: number): Promise<void> {
    const { members } = this.#init
    const first = pick(members, random)
    const cut = random() < 0.5 ? [first] : [...new Set([first, pick(members, random)])]
    this.#count('unplugged')
    for (const member of cut) await member.unplug()
    await this.#pause(absence)
    for (const member of cut) await member.plug()
  }

  /** A node that runs. */
  #any(random: () => number): Member | undefined {
    const member = pick(this.#init.members, random)
    return member.url === undefined ? undefined : member
  }

  /** A root that some node has, a new one more often than an old one. */
  #recent(random: () => number): string {
    const { published } = this
    return published[Math.floor(published.length * Math.sqrt(random()))]!
  }
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)]!
}
