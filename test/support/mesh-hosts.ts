/** A mesh of nodes as users run them, each on a host of its own, that all sign with one key and so trust each other's packages. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ControlClient } from '../../src/http/control/client.ts'

import { controlSocketPath } from '../../src/http/control/socket-path.ts'
import { SecretKey } from '../../src/nix/signature.ts'
import type { PeerStatus } from '../../src/peers/mesh/status.ts'
import { NODE_FLAGS } from '../bench/node-flags.ts'
import { Gachix, type GachixNode } from './gachix.ts'
import { type Host, Network, type NetworkOptions } from './network.ts'
import type { MadePackage } from './packages.ts'
import { until } from './process.ts'
import { publishTo } from './replica.ts'

/** Where nodes listen. */
export const PORT = 4042

export interface MeshHostsOptions extends NetworkOptions {
  /** Settings of all nodes, as environment. */
  readonly env?: NodeJS.ProcessEnv
}

export interface MemberOptions {
  /** Settings of this node, as environment. */
  readonly env?: NodeJS.ProcessEnv
  /** What is in its repository before it starts. */
  readonly packages?: readonly MadePackage[]
  /** Whether to start it; default true. */
  readonly start?: boolean
  /** Names of members that it is configured to connect to; by default the first one. */
  readonly peers?: readonly string[]
}

/** One node of the mesh. */
export class Member {
  readonly name: string
  readonly host: Host
  readonly gachix: Gachix
  /** Its operations, asked for through its control socket. */
  readonly control: ControlClient
  #node: GachixNode | undefined

  constructor(name: string, host: Host, gachix: Gachix) {
    this.name = name
    this.host = host
    this.gachix = gachix
    this.control = new ControlClient(controlSocketPath(join(gachix.repository, 'gachix')))
  }

  /** `HOST:PORT` where other nodes reach it. */
  get address(): string {
    return `${this.host.address}:${PORT}`
  }

  get node(): GachixNode {
    if (this.#node === undefined) throw new Error(`the node ${this.name} has not been started`)
    return this.#node
  }

  async start(): Promise<void> {
    this.#node = await this.gachix.serve()
    // The control socket is there a moment after the node is healthy.
    await until(
      () => `the control socket of ${this.name}`,
      () => this.control.status().catch(() => undefined),
    )
  }

  /** Whether it knows where a package (hash part) is; asks around when it has not heard of it. */
  async knows(hash: string): Promise<boolean> {
    const { here, peers } = await this.control.whoHas(hash)
    return here || peers.length > 0
  }

  /** What it knows of another member. */
  async peer(other: Member): Promise<PeerStatus | undefined> {
    const { id } = await other.control.meshIdentity()
    return (await this.control.peers()).find((peer) => peer.id === id)
  }

  /** Bytes that it got from peers and sent to them, as `peer list` counts. */
  async traffic(): Promise<{ received: number; sent: number }> {
    const peers = await this.control.peers()
    return {
      received: peers.reduce((sum, { bytesIn }) => sum + bytesIn, 0),
      sent: peers.reduce((sum, { bytesOut }) => sum + bytesOut, 0),
    }
  }
}

export class MeshHosts implements AsyncDisposable {
  readonly network: Network
  readonly key: SecretKey
  readonly #members = new Map<string, Member>()
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(network: Network, folder: string, key: SecretKey, env: NodeJS.ProcessEnv) {
    this.network = network
    this.#folder = folder
    this.key = key
    this.#env = env
  }

  static async create({ env = {}, ...options }: MeshHostsOptions = {}): Promise<MeshHosts> {
    const network = await Network.create(options)
    const folder = await mkdtemp(join(tmpdir(), 'gachix-mesh-hosts-'))
    const key = SecretKey.generate('team.test-1')
    await writeFile(join(folder, 'key'), key.secretText(), { mode: 0o600 })
    return new MeshHosts(network, folder, key, { GACHIX__MESH__NETWORK: 'team', ...env })
  }

  get members(): Member[] {
    return [...this.#members.values()]
  }

  /** Adds a host with a node. */
  async add(name: string, options: MemberOptions = {}): Promise<Member> {
    const host = await this.network.host(name)
    const [first] = this.#members.keys()
    const peers = options.peers ?? (first === undefined ? [] : [first])
    const gachix = await Gachix.create({
      host,
      keyFile: join(this.#folder, 'key'),
      nodeFlags: NODE_FLAGS,
      env: {
        GACHIX__MESH__LISTEN: `/ip4/${host.address}/tcp/${PORT}`,
        GACHIX__MESH__PEERS: peers.map((peer) => this.#members.get(peer)!.address).join(' '),
        ...this.#env,
        ...options.env,
      },
    })
    if (options.packages !== undefined) await publishTo(gachix.repository, options.packages, this.key)
    const member = new Member(name, host, gachix)
    this.#members.set(name, member)
    if (options.start !== false) await member.start()
    return member
  }

  /** Waits until all of these are connected to each other. */
  async connected(members: readonly Member[] = this.members, patience = 60_000): Promise<void> {
    await until(
      () => 'everybody to be connected to everybody',
      async () => {
        for (const member of members) {
          const { mesh } = await member.control.status()
          if ((mesh?.connected ?? 0) < members.length - 1) return undefined
        }
        return true
      },
      patience,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ gachix }) => gachix.close()))
    await this.network[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
