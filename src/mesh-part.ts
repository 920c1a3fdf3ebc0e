/** A node's part in the mesh, and whom it trusts: builds the mesh from the settings, and does what is asked about both. */
import type { Config } from './config/schema.ts'
import type { NodeStatus } from './http/control/api.ts'
import type {
  AddPeerRequest,
  Invitation,
  MeshIdentity,
  PeerOperations,
  TrustedKey,
  WhoHas,
} from './http/control/peer-api.ts'
import { PublicKey } from './nix/signature.ts'
import { isHashPart, StorePath } from './nix/store-path.ts'
import { SharePolicy } from './peers/inventory/share-policy.ts'
import type { Mesh } from './peers/mesh/mesh.ts'
import type { PeerStatus } from './peers/mesh/status.ts'
import type { Replication } from './replication.ts'
import type { GitPackageStore } from './store/package-store.ts'
import { Follower } from './sync/policy/follower.ts'
import type { TrustedKeys } from './trusted-keys.ts'
import { GachixError } from './util/errors.ts'
import { keepHeap } from './util/heap.ts'
import type { AbortOptions, Startable } from './util/lifecycle.ts'
import type { Logger } from './util/log.ts'

export interface MeshPartInit {
  readonly config: Config
  readonly store: GitPackageStore
  readonly replication: Replication
  readonly trusted: TrustedKeys
  /** The key that signs what this node serves. */
  readonly publicKey: PublicKey
  readonly logger: Logger
}

/** Something was asked about the mesh of a node that is in none. */
export class MeshOffError extends GachixError {
  constructor(reason: string) {
    super('ERR_MESH_OFF', `this node is in no mesh: ${reason}`)
  }
}

/** The other node is in another network, so the two would never talk. */
export class OtherNetworkError extends GachixError {
  constructor(theirs: string, ours: string) {
    super(
      'ERR_OTHER_NETWORK',
      `that peer is in the network ${theirs} and this node in ${ours}; set mesh.network: ${theirs} and start the node again`,
    )
  }
}

export class MeshPart implements PeerOperations, Startable {
  readonly #init: MeshPartInit
  readonly #mesh: Mesh | undefined
  readonly #follower: Follower | undefined

  private constructor(init: MeshPartInit, mesh: Mesh | undefined) {
    this.#init = init
    this.#mesh = mesh
    const { sync } = init.config.mesh
    if (mesh !== undefined && sync !== 'on-demand') this.#follower = this.#makeFollower(sync)
  }

  /**
   * @param running whether this is a node, and not a command that works on the repository when no node runs
   * @throws IdentityError, PreSharedKeyError, PeerBookError
   */
  static async create(init: MeshPartInit, running: boolean): Promise<MeshPart> {
    const { config, store, logger } = init
    if (!running || !config.mesh.enabled) return new MeshPart(init, undefined)
    keepHeap()
    // Loading libp2p takes some 50 MB and half a second, which nobody but a node in a mesh has to spend.
    const [{ Mesh }, { ensureIdentity }, { serveRepository }, { readPreSharedKey }] = await Promise.all([
      import('./peers/mesh/mesh.ts'),
      import('./peers/identity.ts'),
      import('./peers/serve/repository.ts'),
      import('./peers/swarm/pre-shared-key.ts'),
    ])
    const { preSharedKeyPath } = config.mesh
    const mesh = await Mesh.create({
      settings: config.mesh,
      identity: await ensureIdentity(store.gitDir),
      gitDir: store.gitDir,
      ownDir: store.ownDir,
      ...(preSharedKeyPath !== undefined && { preSharedKey: readPreSharedKey(preSharedKeyPath) }),
      repository: serveRepository(store, store.objects),
      inventory: store,
      logger: logger.child({ part: 'mesh' }),
    })
    return new MeshPart(init, mesh)
  }

  /** What `status` says. */
  get status(): NodeStatus['mesh'] {
    if (this.#mesh === undefined) return null
    const connected = this.#mesh.peers().filter(({ state }) => state === 'connected').length
    const { id, addresses, load } = this.#mesh
    return { id, addresses, network: this.#init.config.mesh.network, connected, load }
  }

  /** Joins the mesh. */
  async start(): Promise<void> {
    const mesh = this.#mesh
    if (mesh === undefined) return
    const { replication } = this.#init
    replication.usePeers(mesh)
    mesh.onNews((_peer, hashes) => {
      replication.pullThrough.forgetMissing(hashes)
      this.#follower?.news(hashes)
    })
    await mesh.start()
  }

  async stop(): Promise<void> {
    await this.#follower?.stop()
    await this.#mesh?.stop()
  }

  async peers(): Promise<readonly PeerStatus[]> {
    return this.#running().peers()
  }

  async addPeer({ address, name, network, trust }: AddPeerRequest): Promise<PeerStatus> {
    const mesh = this.#running()
    const ours = this.#init.config.mesh.network
    if (network !== undefined && network !== ours) throw new OtherNetworkError(network, ours)
    if (trust !== undefined) await this.trust(trust)
    return mesh.add(address, name === undefined ? {} : { name })
  }

  async removePeer(reference: string): Promise<PeerStatus> {
    return this.#running().remove(reference)
  }

  async pingPeer(reference: string, options?: AbortOptions): Promise<number> {
    return this.#running().ping(reference, options)
  }

  async meshIdentity(): Promise<MeshIdentity> {
    const { id, addresses } = this.#running()
    return { id, addresses }
  }

  async invitation(): Promise<Invitation> {
    const { id, addresses, network } = this.#running().invitation()
    const address = addresses.find((each) => !/\/(127\.|ip6\/::1\/)/.test(each)) ?? addresses[0]
    if (address === undefined) {
      throw new MeshOffError('it listens on no address, so nobody can connect to it; see mesh.listen')
    }
    const publicKey = this.#init.publicKey.toString()
    const command = `gachix peer add ${address} --network ${network} --trust '${publicKey}'`
    return { id, addresses, network, publicKey, command }
  }

  async whoHas(target: string, options: AbortOptions = {}): Promise<WhoHas> {
    const mesh = this.#running()
    const { store } = this.#init
    const hash = isHashPart(target) ? target : StorePath.containing(target, store.storeDir).hash
    if (mesh.whoHas(hash).length === 0) await mesh.inquire([hash], options)
    const known = new Map(mesh.peers().map((peer) => [peer.id, peer]))
    const peers = mesh.whoHas(hash).map((id) => {
      const peer = known.get(id)
      return { id, name: peer?.name ?? id, connected: peer?.state === 'connected' }
    })
    return { hash, here: store.hasClosure(hash), peers }
  }

  async trustedKeys(): Promise<readonly TrustedKey[]> {
    const { trusted, publicKey, config } = this.#init
    const configured = new Set(config.trust.publicKeys.map(String))
    const own = { key: publicKey.toString(), from: 'this node' } as const
    const others = trusted.all.map((key) => {
      const text = key.toString()
      return { key: text, from: configured.has(text) ? 'settings' : 'added' } as const
    })
    return [own, ...others.filter(({ key }) => key !== own.key)]
  }

  async trust(key: string): Promise<boolean> {
    const added = await this.#init.trusted.add(PublicKey.parse(key))
    // What was refused before may be had now.
    this.#init.replication.pullThrough.forgetMissing()
    return added
  }

  async distrust(nameOrKey: string): Promise<boolean> {
    return this.#init.trusted.remove(nameOrKey)
  }

  #running(): Mesh {
    if (this.#mesh !== undefined) return this.#mesh
    throw new MeshOffError(
      this.#init.config.mesh.enabled ? 'no node runs; gachix serve starts one' : 'mesh.enabled is false',
    )
  }

  #makeFollower(sync: 'mirror' | readonly string[]): Follower {
    const { store, replication, logger } = this.#init
    const policy = sync === 'mirror' ? undefined : new SharePolicy(sync)
    return new Follower({
      store,
      puller: replication.puller,
      links: () => replication.peerLinks,
      ...(policy && { wanted: ({ storePath }) => policy.shares(storePath.name) }),
      logger: logger.child({ part: 'sync' }),
    })
  }
}
