/**
 * The node's connections to its mesh: libp2p with what it leaves open decided, and with its events in our terms.
 *
 * A peer counts as connected once it has proven its id, passed the gater, and told that it speaks this network's
 * protocols. Others that speak libp2p may identify and ping, and nothing more.
 */
import type { Connection, IdentifyResult, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { errorMessage } from '../../util/errors.ts'
import type { AbortOptions, Startable } from '../../util/lifecycle.ts'
import type { Logger } from '../../util/log.ts'
import { formatPeerAddress, type PeerAddress } from '../address.ts'
import { PeerUnreachableError } from '../errors.ts'
import { assembleLibp2p, type SwarmServices, type SwarmSettings } from './assemble.ts'
import { Duplicates } from './duplicates.ts'
import type { Admission } from './gater.ts'
import { type GossipVerdict, joinTopic } from './gossip.ts'
import { DIAL_TIMEOUT, MAX_GOSSIP_SIZE, STRANGER_TIME } from './limits.ts'

export interface SwarmInit extends SwarmSettings {
  /** Protocol that every node of this network registers: who has it is one of us. */
  readonly membership: string
  /** The gossip topic of this network. */
  readonly topic: string
}

/** What the swarm tells. All are called from event handlers and must not throw. */
export interface SwarmEvents {
  /** A peer of this network is connected. */
  connected(peer: ConnectedPeer): void
  disconnected(id: string): void
  /** A node was seen on the local network. */
  discovered(id: string, addresses: readonly string[]): void
  gossip(neighbour: string, data: Uint8Array): GossipVerdict
  misconduct(id: string, offence: 'protocol' | 'flood', details: string): void
  penalty(id: string): number
}

export interface ConnectedPeer {
  readonly id: string
  /** Where it says that it can be reached: multiaddrs without peer id. */
  readonly addresses: readonly string[]
  /** The other end of the connection. */
  readonly remote: string
  /** Whether we called it, and not it us. */
  readonly dialled: boolean
}

export interface SwarmComponents {
  readonly admission: Admission
  readonly events: SwarmEvents
  readonly logger: Logger
}

/** A handler of streams that peers of this network open. */
export type StreamHandler = (stream: Stream, peer: string) => void | Promise<void>

export class Swarm implements Startable {
  readonly #init: SwarmInit
  readonly #components: SwarmComponents
  readonly #handlers: [protocol: string, handler: StreamHandler, maxStreams: number][] = []
  /** Peers of this network that are connected. */
  readonly #members = new Set<string>()
  /** Of each connection, whether it is one of this network's; settled once the other side has identified itself. */
  readonly #told = new WeakMap<Connection, PromiseWithResolvers<boolean>>()
  /** For each connection that has not proven to be of this network, what ends it. */
  readonly #strangers = new Set<NodeJS.Timeout>()
  readonly #duplicates: Duplicates
  #libp2p: Libp2p<SwarmServices> | undefined

  constructor(init: SwarmInit, components: SwarmComponents) {
    this.#init = init
    this.#components = components
    this.#duplicates = new Duplicates({
      self: init.identity.id,
      connections: (id) => this.#libp2p?.getConnections(peerIdFromString(id)) ?? [],
      identify: (connection, signal) => this.#running().services.identify.identify(connection, { signal }),
      logger: components.logger,
    })
  }

  get id(): string {
    return this.#init.identity.id
  }

  /** Multiaddrs with this node's id at which others can reach it; none while it does not listen. */
  get addresses(): string[] {
    return this.#libp2p?.getMultiaddrs().map(String) ?? []
  }

  /** Ids of the connected peers of this network. */
  get members(): ReadonlySet<string> {
    return this.#members
  }

  /** Streams of gachix's protocols that are open now, on all connections, in both directions. */
  get openStreams(): number {
    const streams = this.#libp2p?.getConnections().flatMap((connection) => connection.streams) ?? []
    return streams.filter(({ protocol }) => this.#handlers.some(([handled]) => handled === protocol)).length
  }

  /** Connections that are open, and streams on them, whoever uses them. */
  get load(): { connections: number; streams: number } {
    const connections = this.#libp2p?.getConnections() ?? []
    const streams = connections.reduce((sum, connection) => sum + connection.streams.length, 0)
    return { connections: connections.length, streams }
  }

  /** Registers a protocol; to be called before `start`. `maxStreams` bounds what one connection may have open. */
  handle(protocol: string, maxStreams: number, handler: StreamHandler): void {
    this.#handlers.push([protocol, handler, maxStreams])
  }

  /** @throws what listening throws, when none of the addresses can be listened on */
  async start(): Promise<void> {
    if (this.#libp2p !== undefined) return
    const { topic } = this.#init
    const { admission, events } = this.#components
    const penalty = (id: string): number => events.penalty(id)
    const libp2p = await assembleLibp2p(this.#init, { admission, topic, penalty })
    libp2p.addEventListener('connection:open', ({ detail }) => this.#onConnection(detail))
    libp2p.addEventListener('peer:identify', ({ detail }) => this.#onIdentified(detail))
    libp2p.addEventListener('peer:disconnect', ({ detail }) => this.#onDisconnected(detail))
    libp2p.addEventListener('peer:discovery', ({ detail }) =>
      events.discovered(detail.id.toString(), detail.multiaddrs.map(withoutPeerId)),
    )
    for (const [protocol, handler, maxInboundStreams] of this.#handlers) {
      const onStream = (stream: Stream, { remotePeer }: Connection) => handler(stream, remotePeer.toString())
      await libp2p.handle(protocol, onStream, {
        maxInboundStreams,
        maxOutboundStreams: 2 * maxInboundStreams,
      })
    }
    await libp2p.start()
    this.#libp2p = libp2p
    joinTopic(libp2p.services.gossip, topic, {
      message: (neighbour, data) => events.gossip(neighbour, data),
      misconduct: (neighbour, offence, details) => events.misconduct(neighbour, offence, details),
      penalty,
    })
  }

  async stop(): Promise<void> {
    const libp2p = this.#libp2p
    this.#libp2p = undefined
    for (const timer of this.#strangers) clearTimeout(timer)
    this.#strangers.clear()
    this.#duplicates.stop()
    await libp2p?.stop()
    this.#members.clear()
  }

  /**
   * Connects to a peer and waits until it is known to be of this network.
   *
   * @returns its id
   * @throws PeerUnreachableError
   */
  async connect(peer: PeerAddress, options: AbortOptions = {}): Promise<string> {
    const libp2p = this.#running()
    const timeout = AbortSignal.timeout(DIAL_TIMEOUT)
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
    let connection: Connection
    try {
      connection = await libp2p.dial(multiaddr(formatPeerAddress(peer)), { signal })
    } catch (error) {
      const reason = timeout.aborted ? `nobody answered within ${DIAL_TIMEOUT / 1000} s` : errorMessage(error)
      throw new PeerUnreachableError(`${peer.address}: ${reason}`, { cause: error })
    }
    const id = connection.remotePeer.toString()
    if (await this.#becomesMember(connection, signal)) return id
    await connection.close().catch(() => connection.abort(new Error('not of this network')))
    throw new PeerUnreachableError(
      `${peer.address}: what answers there is not of this node's network, or did not let us in`,
    )
  }

  /** Closes all connections to a peer. */
  async disconnect(id: string): Promise<void> {
    await this.#libp2p?.hangUp(peerIdFromString(id)).catch(() => {})
  }

  /** Drops all connections to a peer that does not answer any more. */
  abandon(id: string): void {
    const connections = this.#libp2p?.getConnections(peerIdFromString(id)) ?? []
    for (const connection of connections) connection.abort(new Error('the other side is silent'))
  }

  /**
   * Opens a stream to a connected peer.
   *
   * @throws PeerUnreachableError
   */
  async open(id: string, protocol: string, options: AbortOptions = {}): Promise<Stream> {
    const connection = this.#connection(id)
    try {
      return await connection.newStream(protocol, options)
    } catch (error) {
      // It was one of two, and the other side has closed it just now.
      if (connection.status !== 'open' && this.#duplicates.preferred(id) !== undefined) {
        return await this.open(id, protocol, options)
      }
      // libp2p throws the event by which a stream closes.
      const reason = error instanceof Event ? 'the stream was closed' : errorMessage(error)
      throw new PeerUnreachableError(`no answer from the peer ${id}: ${reason}`, { cause: error })
    }
  }

  /**
   * Tells everybody. Resolves when it is on its way to the neighbours; whether there are any is not told.
   *
   * @param data at most 64 KiB
   */
  async publish(data: Uint8Array): Promise<void> {
    // gossipsub sends larger ones too, and its receivers drop them without a word.
    if (data.length > MAX_GOSSIP_SIZE) throw new RangeError(`a gossip message of ${data.length} bytes`)
    await this.#libp2p?.services.gossip.publish(this.#init.topic, data)
  }

  /**
   * Round trip to a connected peer in milliseconds.
   *
   * @throws PeerUnreachableError
   */
  async ping(id: string, options: AbortOptions = {}): Promise<number> {
    const connection = this.#connection(id)
    try {
      return await this.#running().services.ping.ping(connection.remotePeer, options)
    } catch (error) {
      throw new PeerUnreachableError(`no answer from the peer ${id}: ${errorMessage(error)}`, {
        cause: error,
      })
    }
  }

  /** Last round trip that was measured, in milliseconds. */
  latency(id: string): number | undefined {
    return this.#members.has(id) ? this.#connection(id).rtt : undefined
  }

  #connection(id: string): Connection {
    const open = this.#members.has(id) ? this.#duplicates.preferred(id) : undefined
    if (open === undefined) throw new PeerUnreachableError(`the peer ${id} is not connected`)
    return open
  }

  #running(): Libp2p<SwarmServices> {
    if (this.#libp2p === undefined) throw new PeerUnreachableError('this node is not part of a mesh now')
    return this.#libp2p
  }

  /** Whether what answers on a connection turns out to be of this network. */
  async #becomesMember(connection: Connection, signal: AbortSignal): Promise<boolean> {
    const told = this.#told.get(connection)?.promise
    return told !== undefined && (await Promise.race([told, aborted(signal)]))
  }

  #onConnection(connection: Connection): void {
    const told = Promise.withResolvers<boolean>()
    this.#told.set(connection, told)
    const timer = setTimeout(() => connection.abort(new Error('not of this network')), STRANGER_TIME)
    this.#strangers.add(timer.unref())
    const settle = (): void => {
      clearTimeout(timer)
      this.#strangers.delete(timer)
    }
    void told.promise.then((member) => member && settle())
    connection.addEventListener('close', () => {
      told.resolve(false)
      settle()
      const id = connection.remotePeer.toString()
      if (this.#members.has(id)) this.#duplicates.closed(id)
    })
  }

  #onIdentified({ connection, peerId, protocols, listenAddrs }: IdentifyResult): void {
    const member = protocols.includes(this.#init.membership)
    this.#told.get(connection)?.resolve(member)
    const id = peerId.toString()
    if (!member || connection.status !== 'open') return
    this.#duplicates.opened(id)
    if (this.#members.has(id)) return
    this.#members.add(id)
    this.#components.events.connected({
      id,
      addresses: listenAddrs.map(withoutPeerId),
      remote: withoutPeerId(connection.remoteAddr),
      dialled: connection.direction === 'outbound',
    })
  }

  #onDisconnected(peer: PeerId): void {
    // libp2p keeps what it knows of every peer that ever called for hours.
    this.#libp2p?.peerStore.delete(peer).catch(() => {})
    const id = peer.toString()
    if (this.#members.delete(id)) this.#components.events.disconnected(id)
  }
}

/** `false` once the signal fires. */
function aborted(signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(false)
    signal.addEventListener('abort', () => resolve(false), { once: true })
  })
}

function withoutPeerId(address: { toString(): string }): string {
  return address.toString().replace(/\/p2p\/\w+$/, '')
}
