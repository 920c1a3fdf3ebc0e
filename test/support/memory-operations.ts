/** Operations whose answers a test decides. */
import type {
  AddOptions,
  AddRequest,
  AddSummary,
  NodeStatus,
  Operations,
  PackageDetails,
  PackageSummary,
} from '../../src/http/control/api.ts'
import type { AddPeerRequest, PeerOperations } from '../../src/http/control/peer-api.ts'
import type {
  PushRequest,
  PushSummary,
  RemoteCheck,
  SourceStatus,
  SyncRequest,
  SyncSummary,
} from '../../src/http/control/sync-api.ts'
import type { PeerStatus } from '../../src/peers/mesh/status.ts'
import type { AbortOptions } from '../../src/util/lifecycle.ts'

export const SUMMARY: AddSummary = { paths: 3, added: 2, present: 1, bytes: 1000, stored: 500, seconds: 1.5 }

export const DETAILS: PackageDetails = {
  path: '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a',
  narHash: 'sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s',
  narSize: 120,
  references: [],
  deriver: null,
  signatures: ['a:b'],
  ca: null,
  tree: 'a'.repeat(40),
  commit: null,
  url: 'nar/a.nar',
  gzip: null,
  closure: { paths: 1, narSize: 120, complete: true },
}

export const STATUS: NodeStatus = {
  version: '1.2.3',
  pid: 7,
  uptime: 1.25,
  process: {
    rss: 96_000_000,
    heapUsed: 20_000_000,
    external: 4_000_000,
    handles: { Timeout: 2 },
    listeners: 3,
  },
  store: { path: '/srv/cache', storeDir: '/nix/store', packages: 3 },
  http: { url: 'http://localhost:8080' },
  publicKey: null,
  sources: [],
  mesh: null,
}

export const SYNCED: SyncSummary = {
  added: 2,
  bytes: 1000,
  present: 1,
  received: 400,
  skipped: 0,
  sources: { origin: 2 },
  seconds: 1.5,
}

export const PUSHED: PushSummary = { added: 1, bytes: 10, present: 2, differing: 0, sent: 5, seconds: 0.5 }

export const SOURCE: SourceStatus = {
  name: 'origin',
  kind: 'remote',
  url: 'ssh://host/cache',
  requireSignatures: true,
  state: 'failing',
  requests: 3,
  failures: 3,
  latency: null,
  bytesReceived: 0,
  bytesSent: 0,
  packages: 0,
  narBytes: 0,
  lastError: { code: 'ERR_A', message: 'b', at: '2026-01-01T00:00:00.000Z' },
}

export const PEER: PeerStatus = {
  id: '12D3',
  name: 'other',
  origin: 'added',
  state: 'connected',
  addresses: ['/ip4/192.0.2.1/tcp/4042'],
  latency: 1.5,
  packages: 3,
  bytesIn: 10,
  bytesOut: 20,
  lastSeen: 1,
  penalty: 0,
}

/** What is asked about the mesh, answered with what was asked. */
class MemoryPeers implements PeerOperations {
  peers = async () => [PEER]
  addPeer = async ({ address }: AddPeerRequest) => ({ ...PEER, addresses: [address] })
  removePeer = async (name: string) => ({ ...PEER, name })
  pingPeer = async () => 1.5
  meshIdentity = async () => ({ id: '12D3', addresses: ['/ip4/192.0.2.1/tcp/4042/p2p/12D3'] })
  invitation = async () => ({
    ...(await this.meshIdentity()),
    network: 'default',
    publicKey: 'a:b',
    command: 'gachix peer add',
  })
  whoHas = async (hash: string) => ({
    hash,
    here: true,
    peers: [{ id: '12D3', name: 'other', connected: true }],
  })
  trustedKeys = async () => [{ key: 'a:b', from: 'added' as const }]
  trust = async (key: string) => key !== ''
  distrust = async (key: string) => key === ''
}

export class MemoryOperations extends MemoryPeers implements Operations {
  /** Requests that came in. */
  readonly requests: (AddRequest | SyncRequest | PushRequest)[] = []
  /** What `info` was asked for. */
  readonly targets: string[] = []
  /** Operations that are under way. */
  running = 0
  /** Packages that `list` gives. */
  packages = 0
  /** Does the work of `add`. */
  work: (options: AddOptions) => Promise<AddSummary> = async () => SUMMARY

  async add(request: AddRequest, options: AddOptions = {}): Promise<AddSummary> {
    this.requests.push(request)
    this.running++
    try {
      return await this.work(options)
    } finally {
      this.running--
    }
  }

  async sync(request: SyncRequest, options: AddOptions = {}): Promise<SyncSummary> {
    this.requests.push(request)
    options.onEvent?.({ type: 'received', bytes: 10, sources: 1 })
    return SYNCED
  }

  async push(request: PushRequest): Promise<PushSummary> {
    this.requests.push(request)
    return PUSHED
  }

  async checkRemotes(remotes: readonly string[]): Promise<readonly RemoteCheck[]> {
    return remotes.map((name) => ({ name, url: name, problem: { code: 'ERR_A', message: 'b' } }))
  }

  async sources(): Promise<readonly SourceStatus[]> {
    return [SOURCE]
  }

  async *list(options: AbortOptions = {}): AsyncGenerator<PackageSummary> {
    this.running++
    try {
      for (let index = 0; index < this.packages; index++) {
        options.signal?.throwIfAborted()
        yield { hash: `${index}`, path: `/nix/store/${index}`, narSize: index, references: 2 }
      }
    } finally {
      this.running--
    }
  }

  async info(target: string): Promise<PackageDetails | undefined> {
    this.targets.push(target)
    return target === 'absent' ? undefined : DETAILS
  }

  async status(): Promise<NodeStatus> {
    return STATUS
  }
}

/** Work that goes on until it is aborted. */
export function untilAborted({ signal }: AddOptions): Promise<never> {
  return new Promise((_, reject) => {
    signal!.addEventListener('abort', () => reject(signal!.reason))
  })
}
