/**
 * A node's part in the mesh: swarm, book, inventories and what answers peers, put together. What is to be fetched from whom is
 * decided elsewhere.
 */
import { getEventListeners } from 'node:events'
import { join } from 'node:path'
import { headsTopic, protocolId } from '../../../protocol/index.ts'
import { nix32Decode } from '../../nix/base32.ts'
import { errorMessage } from '../../util/errors.ts'
import type { AbortOptions, Startable } from '../../util/lifecycle.ts'
import { createReclaimer } from '../../util/reclaim.ts'
import { Throttle } from '../../util/throttle.ts'
import { formatPeerAddress, parsePeerAddress } from '../address.ts'
import { PeerBook } from '../book/book.ts'
import type { Offence } from '../book/penalty.ts'
import { PeerUnreachableError } from '../errors.ts'
import { InventoryLogFile } from '../inventory/log-file.ts'
import { keyOf } from '../keys.ts'
import { PackageService } from '../serve/packages.ts'
import { PeerSource } from '../source/peer-source.ts'
import type { ExchangeContext } from '../streams/exchange.ts'
import { Swarm } from '../swarm/swarm.ts'
import { MeshAdmission } from './admission.ts'
import { Connections } from './connections.ts'
import { Greeting } from './greeting.ts'
import { Heartbeat } from './heartbeat.ts'
import type { FetchVerdict, Invitation, MeshInit, NewsListener } from './init.ts'
import { Inventories } from './inventories.ts'
import { PeerExchange, usableAddresses } from './peer-exchange.ts'
import { Providers } from './providers.ts'
import { SharedPackages } from './shared-packages.ts'
import { type PeerStatus, statusOf } from './status.ts'

/** Lies in the Git directory, outside of `gachix/`: peers that were added by hand cannot be made anew. */
const BOOK_FILE = 'gachix-peers.json'
/** The log of what is told to others, in our own folder. */
const INVENTORY_FILE = 'inventory'
/** Milliseconds between two questions to a peer at random whom it knows. */
const PEER_EXCHANGE_INTERVAL = 30_000

export class Mesh implements Startable {
  readonly #init: MeshInit
  readonly #book: PeerBook
  readonly #shared: SharedPackages
  readonly #swarm: Swarm
  readonly #admission: MeshAdmission
  readonly #connections: Connections
  readonly #greeting: Greeting
  readonly #heartbeat: Heartbeat
  readonly #inventories: Inventories
  readonly #peerExchange: PeerExchange
  readonly #providers: Providers
  readonly #context: ExchangeContext
  readonly #download: Throttle
  readonly #news = new Set<NewsListener>()
  readonly #stopping = new AbortController()
  #peerExchangeTimer: NodeJS.Timeout | undefined

  private constructor(init: MeshInit, shared: SharedPackages, book: PeerBook) {
    const { settings, identity, logger, repository } = init
    const { network } = settings
    this.#init = init
    this.#book = book
    this.#shared = shared
    this.#download = new Throttle(settings.downloadLimit || Infinity)
    this.#admission = new MeshAdmission(settings.policy, settings.allow, book)
    this.#context = this.#makeContext()
    const context = this.#context
    this.#swarm = this.#makeSwarm()
    const swarm = this.#swarm
    const admits = (id: string): boolean => this.#admission.admits(id)
    this.#connections = new Connections({
      book,
      swarm,
      admission: this.#admission,
      logger,
      ...(init.redial !== undefined && { redial: init.redial }),
    })
    this.#inventories = new Inventories({
      ...{ identity, network, shared, swarm, context, logger, admits },
      learnt: (peer, hashes) => {
        for (const listener of this.#news) listener(peer, hashes)
      },
    })
    this.#greeting = new Greeting({
      ...{ swarm, network, context },
      heads: (peer) => this.#inventories.hello(peer),
      greeted: (peer, hello) => {
        this.#inventories.connected(peer, hello)
        this.#learnFrom(peer)
      },
    })
    this.#heartbeat = new Heartbeat({ swarm, logger })
    this.#peerExchange = new PeerExchange({ swarm, network, book, context, admits })
    this.#providers = new Providers({ swarm, network, context, directory: this.#inventories.directory })
    const upload = new Throttle(settings.uploadLimit || Infinity)
    new PackageService({ repository, shared, context, upload }).register(swarm, network)
  }

  /**
   * Makes a node's part in the mesh; `start` joins it.
   *
   * @throws PeerBookError when the file with the known peers is damaged, PeerAddressError
   */
  static async create(init: MeshInit): Promise<Mesh> {
    const { settings, logger, gitDir, ownDir, inventory: source } = init
    const book = new PeerBook({ path: join(gitDir, BOOK_FILE), logger })
    book.configure(settings.peers.map(parsePeerAddress))
    const journal = new InventoryLogFile(join(ownDir, INVENTORY_FILE))
    const shared = await SharedPackages.open(settings.share, { source, journal, logger })
    return new Mesh(init, shared, book)
  }

  /** Peer id of this node. */
  get id(): string {
    return this.#init.identity.id
  }

  /** Multiaddrs with the id at which others can reach this node. */
  get addresses(): string[] {
    return this.#swarm.addresses
  }

  get load(): { connections: number; streams: number; listeners: number } {
    return { ...this.#swarm.load, listeners: getEventListeners(this.#stopping.signal, 'abort').length }
  }

  /** A mesh that was stopped cannot be started again. */
  async start(): Promise<void> {
    const { logger, settings } = this.#init
    await this.#swarm.start()
    this.#inventories.start()
    await this.#connections.redialler.start()
    await this.#heartbeat.start()
    this.#peerExchangeTimer = setInterval(() => this.#learnFromAnybody(), PEER_EXCHANGE_INTERVAL).unref()
    if (this.addresses.length === 0 && settings.listen.length > 0) {
      logger.error(
        { listen: settings.listen },
        'other nodes cannot connect: none of the addresses of mesh.listen can be listened on',
      )
    } else {
      logger.info({ id: this.id, addresses: this.addresses }, 'joined the mesh')
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#peerExchangeTimer)
    this.#stopping.abort()
    this.#inventories.stop()
    await this.#heartbeat.stop()
    await this.#connections.redialler.stop()
    await this.#swarm.stop()
    await this.#shared.close()
    await this.#book.save().catch((err: unknown) => {
      this.#init.logger.warn({ err }, 'the known peers could not be saved')
    })
  }

  /** The known peers: those that an operator named first, then connected ones. */
  peers(): PeerStatus[] {
    const rank = ({ origin, state }: PeerStatus) =>
      (origin === 'learnt' ? 2 : 0) + (state === 'connected' ? 0 : 1)
    return [...this.#book.records]
      .map((record) => {
        const { id } = record
        const latency = id === undefined ? undefined : this.#swarm.latency(id)
        const packages = id === undefined ? undefined : this.#inventories.directory.count(keyOf(id))
        return statusOf(record, this.#book, {
          ...(latency !== undefined && { latency }),
          ...(packages !== undefined && { packages }),
        })
      })
      .sort((a, b) => rank(a) - rank(b))
  }

  /**
   * Adds a peer, remembers it for good, and tries to connect to it; the answer tells whether that worked.
   *
   * @param address `HOST:PORT` or a multiaddr
   * @throws PeerAddressError
   */
  async add(address: string, options: { name?: string } = {}): Promise<PeerStatus> {
    const peer = parsePeerAddress(address)
    const record = await this.#book.add(peer, options)
    await this.#connections.redialler.dialNow(record)
    // Whoever answered may have been known under its id already.
    return statusOf(this.#book.find(formatPeerAddress(peer)), this.#book, {})
  }

  /**
   * Forgets a peer and lets its connection go. One of `mesh.peers` comes back with the next start.
   *
   * @param reference name, id or address
   * @throws UnknownPeerError
   */
  async remove(reference: string): Promise<PeerStatus> {
    const record = await this.#book.remove(reference)
    if (record.id !== undefined) await this.#swarm.disconnect(record.id)
    return statusOf({ ...record, state: 'waiting' }, this.#book, {})
  }

  /**
   * Round trip to a peer in milliseconds. Connects to it when it is not connected.
   *
   * @param reference name, id or address
   * @throws UnknownPeerError, PeerUnreachableError
   */
  async ping(reference: string, options: AbortOptions = {}): Promise<number> {
    const record = this.#book.find(reference)
    await this.#connections.redialler.dialNow(record)
    if (record.id === undefined || !this.#swarm.members.has(record.id)) {
      throw new PeerUnreachableError(
        `the peer ${reference} is not connected: ${record.failure ?? 'nobody answers'}`,
      )
    }
    return await this.#swarm.ping(record.id, options)
  }

  invitation(): Invitation {
    return { id: this.id, addresses: this.addresses, network: this.#init.settings.network }
  }

  /**
   * Ids of peers that probably have a package, the likeliest to deliver first, connected or not. A hint, from memory.
   *
   * @param hash hash part of a store path
   */
  whoHas(hash: string): string[] {
    return this.#providers.known(hash)
  }

  /** Asks up to 16 connected peers for packages (hash parts) that nobody is known to have. Takes a second at the most. */
  async inquire(hashes: readonly string[], options: AbortOptions = {}): Promise<void> {
    await this.#providers.inquire(hashes, options)
  }

  /** The connected peers that probably have a package, the likeliest to deliver first. */
  candidates(hash: string): PeerSource[] {
    return this.whoHas(hash)
      .filter((id) => this.#swarm.members.has(id))
      .map((id) => this.source(id))
  }

  /** A peer (id) as a repository elsewhere. Opening it fails while the peer is not connected. */
  source(id: string): PeerSource {
    return new PeerSource({
      name: this.#book.nameOf(id),
      peer: id,
      network: this.#init.settings.network,
      context: this.#context,
      download: this.#download,
      isConnected: () => this.#swarm.members.has(id),
    })
  }

  /** The peer with this name, id or address as a repository elsewhere. @throws UnknownPeerError, PeerUnreachableError */
  sourceOf(reference: string): PeerSource {
    const { id } = this.#book.find(reference)
    if (id === undefined) throw new PeerUnreachableError(`the peer ${reference} has not been met yet`)
    return this.source(id)
  }

  /**
   * Notes what came of fetching a package from a peer. Liars are asked later than others, and banned when they go on.
   *
   * @param hash hash part of the package
   */
  report(peer: string, hash: string, verdict: FetchVerdict, details = ''): void {
    const { directory } = this.#inventories
    const now = Date.now()
    const bytes = nix32Decode(hash)
    if (verdict === 'delivered') directory.delivered(keyOf(peer), now)
    else directory.failed(keyOf(peer), bytes, now, verdict === 'lied' ? 4 : 1)
    if (verdict === 'lied') this.#context.penalize(peer, 'lie', details)
    if (verdict === 'trickled') this.#context.penalize(peer, 'trickle', details)
    if (verdict === 'did not have it') this.#context.penalize(peer, 'empty promise', details)
  }

  /** Has a function told what peers have; returns what ends that. */
  onNews(listener: NewsListener): () => void {
    this.#news.add(listener)
    return () => this.#news.delete(listener)
  }

  #makeContext(): ExchangeContext {
    // What comes is given back as it is read, and what is sent as it is encrypted, but for the copies that a pre-shared key takes.
    const reclaim = this.#init.preSharedKey === undefined ? () => {} : createReclaimer()
    return {
      logger: this.#init.logger,
      stopping: this.#stopping.signal,
      open: (peer, protocol, options) => this.#swarm.open(peer, protocol, options),
      penalize: (peer, offence, details) => this.#penalize(peer, offence, details),
      count: (peer, received, sent) => {
        reclaim(sent)
        if (received > 0) this.#heartbeat.heard(peer)
        const record = this.#book.get(peer)
        if (record === undefined) return
        record.bytesIn += received
        record.bytesOut += sent
      },
    }
  }

  #makeSwarm(): Swarm {
    const { settings, identity, preSharedKey, logger } = this.#init
    return new Swarm(
      {
        identity,
        listen: settings.listen,
        announce: settings.announce,
        mdns: settings.mdns,
        ...(preSharedKey !== undefined && { preSharedKey }),
        membership: protocolId(settings.network, 'hello'),
        topic: headsTopic(settings.network),
      },
      {
        logger,
        admission: this.#admission,
        events: {
          connected: (peer) => {
            this.#connections.connected(peer)
            this.#greeting.connected(peer.id, peer.dialled)
          },
          disconnected: (id) => {
            this.#connections.disconnected(id)
            this.#greeting.disconnected(id)
            this.#inventories.disconnected(id)
          },
          discovered: (id, addresses) => {
            if (id === this.id || !this.#admission.admits(id)) return
            this.#book.learn(id, usableAddresses(addresses, false))
          },
          gossip: (neighbour, data) => this.#inventories.gossip(neighbour, data),
          misconduct: (id, offence, details) => this.#penalize(id, offence, details),
          penalty: (id) => this.#book.penalty(id),
        },
      },
    )
  }

  #penalize(peer: string, offence: Offence, details: string): void {
    if (this.#book.penalize(peer, offence, details)) void this.#swarm.disconnect(peer)
  }

  #learnFrom(peer: string): void {
    this.#peerExchange
      .learnFrom(peer)
      .then(() => this.#connections.redialler.look())
      .catch((error: unknown) => {
        this.#init.logger.debug({ peer, reason: errorMessage(error) }, 'a peer tells of no others')
      })
  }

  #learnFromAnybody(): void {
    const members = [...this.#swarm.members]
    const peer = members[Math.floor(Math.random() * members.length)]
    if (peer !== undefined) this.#learnFrom(peer)
  }
}
