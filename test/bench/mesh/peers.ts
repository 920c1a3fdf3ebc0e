/** Nodes that have the set, and a new node that pulls it from one of them or from all. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Gachix, type GachixNode } from '../../support/gachix.ts'
import { run, until } from '../../support/process.ts'
import { NODE_FLAGS } from '../node-flags.ts'
import type { PackageSet } from '../package-set.ts'
import type { Contender, Wanted } from './contender.ts'
import type { Place } from './place.ts'

/** Nodes that give. */
const GIVERS = 3
/** Files by which a copy of a repository would be taken for the same node. */
const OWN_FILES = ['gachix-peer-key', 'gachix-peers.json', 'gachix/inventory']
/** Milliseconds. */
const PATIENCE = 3600_000
const FIRST_PORT = 4042

/** `gachix ARGS`, however long it takes: a machine that is busy otherwise is slow, and says so in the report. */
async function patiently(gachix: Gachix, args: readonly string[]): Promise<void> {
  const [program, ...rest] = gachix.command(args)
  await run(program, rest, { env: gachix.env, timeout: PATIENCE })
}

export interface Giver {
  readonly gachix: Gachix
  readonly node: GachixNode
  readonly id: string
  readonly address: string
}

export class Givers implements AsyncDisposable {
  readonly all: readonly Giver[]

  private constructor(all: readonly Giver[]) {
    this.all = all
  }

  /** Adds the roots to one repository, and starts nodes on it and on copies of it. */
  static async start(
    set: PackageSet,
    place: Place,
    roots: readonly string[],
    { keyFile, nodeFlags }: { keyFile: string; nodeFlags: readonly string[] },
  ): Promise<Givers> {
    const repositories: Pick<Giver, 'gachix' | 'address'>[] = []
    for (let index = 0; index < GIVERS; index++) {
      const address = `/ip4/${place.giver.address}/tcp/${FIRST_PORT + index}`
      const gachix = await Gachix.create({
        ...{ host: place.giver, keyFile, daemonSocket: set.store.socket },
        nodeFlags: [...NODE_FLAGS, ...nodeFlags],
        env: { GACHIX__MESH__NETWORK: 'bench', GACHIX__MESH__LISTEN: address },
      })
      if (index === 0) await patiently(gachix, ['add', ...roots])
      else {
        await run('cp', ['-a', repositories[0]!.gachix.repository, gachix.repository])
        for (const file of OWN_FILES) await rm(join(gachix.repository, file), { force: true })
      }
      repositories.push({ gachix, address })
    }
    const all: Giver[] = []
    for (const { gachix, address } of repositories) {
      const node = await gachix.serve()
      const { id } = JSON.parse(await gachix.run(['peer', 'id', '--json']))
      all.push({ gachix, node, id, address })
    }
    return new Givers(all)
  }

  get repository(): string {
    return this.all[0]!.gachix.repository
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { gachix } of this.all) await gachix.close()
  }
}

/** A node with an empty repository that pulls from so many peers. */
export class PeersContender implements Contender, AsyncDisposable {
  readonly name: string
  readonly givers: readonly number[]
  readonly #place: Place
  readonly #from: readonly Giver[]
  readonly #publicKey: string
  readonly #nodeFlags: readonly string[]
  #gachix: Gachix | undefined
  #node: GachixNode | undefined

  constructor(
    place: Place,
    from: readonly Giver[],
    options: { publicKey: string; nodeFlags: readonly string[] },
  ) {
    this.name = from.length === 1 ? 'gachix, one peer' : `gachix, ${from.length} peers`
    this.#place = place
    this.#from = from
    this.givers = from.map(({ node }) => node.child.pid!)
    this.#publicKey = options.publicKey
    this.#nodeFlags = options.nodeFlags
  }

  async prepare(): Promise<void> {
    await this[Symbol.asyncDispose]()
    const { taker } = this.#place
    const gachix = await Gachix.create({
      host: taker,
      nodeFlags: [...NODE_FLAGS, ...this.#nodeFlags],
      env: { GACHIX__MESH__ENABLED: 'true' },
      settings: JSON.stringify({
        mesh: {
          network: 'bench',
          listen: [`/ip4/${taker.address}/tcp/${FIRST_PORT}`],
          peers: this.#from.map(({ address }) => address),
          // Those it pulls from may know the others, and would introduce them.
          policy: 'allow-list',
          allow: this.#from.map(({ id }) => id),
        },
        trust: { public_keys: [this.#publicKey] },
      }),
    })
    this.#gachix = gachix
    this.#node = await gachix.serve()
    await this.knows()
  }

  /** Waits until the node is connected to all that it is to pull from, and knows what they have. */
  async knows(): Promise<void> {
    await until(
      () => `the node to know ${this.#from.length} peers: ${this.#node?.output()}`,
      async () => {
        const peers: { state: string; packages?: number }[] = JSON.parse(
          await this.#gachix!.run(['peer', 'list', '--json']),
        )
        const ready = peers.filter(({ state, packages }) => state === 'connected' && (packages ?? 0) > 0)
        return ready.length >= this.#from.length ? true : undefined
      },
    )
  }

  takers(): number[] {
    return [this.#node!.child.pid!]
  }

  async pull({ roots }: Wanted): Promise<void> {
    await patiently(this.#gachix!, ['sync', ...roots])
  }

  async check(packages: number): Promise<void> {
    const { store } = JSON.parse(await this.#gachix!.run(['status', '--json']))
    if (store.packages !== packages)
      throw new Error(`${this.name}: ${store.packages} of ${packages} packages`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gachix?.close()
    this.#gachix = undefined
  }
}
