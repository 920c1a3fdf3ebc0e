/** Nodes of a mesh in this process: each a real repository and a real swarm on a free port of the loopback address. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureIdentity } from '../../src/peers/identity.ts'
import type { MeshInit, MeshSettings } from '../../src/peers/mesh/init.ts'
import { Mesh } from '../../src/peers/mesh/mesh.ts'
import type { PeerStatus } from '../../src/peers/mesh/status.ts'
import { type ServedRepository, serveRepository } from '../../src/peers/serve/repository.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { silentLogger } from '../../src/util/log.ts'
import { chunksOf, type MadePackage } from './packages.ts'
import { until } from './process.ts'

export interface MeshNodeOptions extends Partial<MeshSettings> {
  /** A repository that is there; else one is made, and removed in the end. */
  readonly path?: string
  readonly preSharedKey?: Uint8Array
  readonly logger?: MeshInit['logger']
  /** Changes what is answered, for peers that lie. */
  readonly serve?: (repository: ServedRepository) => ServedRepository
}

export interface MeshNode extends AsyncDisposable {
  readonly mesh: Mesh
  readonly store: GitPackageStore
  readonly path: string
  /** `HOST:PORT` where it listens. */
  readonly address: string
  add(packages: readonly MadePackage[]): Promise<void>
  /** What it knows of another node. */
  knows(other: MeshNode): PeerStatus | undefined
  close(): Promise<void>
}

/** Redials after a tenth of a second, and never waits longer than one. */
const QUICK = { firstDelay: 100, longestDelay: 1000 }

export async function startMeshNode(options: MeshNodeOptions = {}): Promise<MeshNode> {
  const { path: given, preSharedKey, logger = silentLogger, serve = (it) => it, ...settings } = options
  const path = given ?? (await mkdtemp(join(tmpdir(), 'gachix-mesh-')))
  const store = await GitPackageStore.open({ path })
  const mesh = await Mesh.create({
    settings: {
      listen: ['/ip4/127.0.0.1/tcp/0'],
      announce: [],
      network: 'test',
      policy: 'open',
      peers: [],
      allow: [],
      mdns: false,
      share: 'all',
      uploadLimit: 0,
      downloadLimit: 0,
      ...settings,
    },
    identity: await ensureIdentity(store.gitDir),
    gitDir: store.gitDir,
    ownDir: store.ownDir,
    repository: serve(serveRepository(store, store.objects)),
    inventory: store,
    redial: QUICK,
    logger,
    ...(preSharedKey !== undefined && { preSharedKey }),
  })
  await mesh.start()
  const close = async (): Promise<void> => {
    await mesh.stop()
    await store.close()
    if (given === undefined) await rm(path, { recursive: true, force: true })
  }
  const [, port] = /\/tcp\/(\d+)/.exec(mesh.addresses[0] ?? '') ?? []
  return {
    mesh,
    store,
    path,
    address: port === undefined ? '' : `127.0.0.1:${port}`,
    async add(packages) {
      const session = store.ingest()
      for (const { info, nar } of packages) await session.add(info, chunksOf(nar))
      await session.finish()
    },
    knows: (other) => mesh.peers().find(({ id }) => id === other.mesh.id),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Whether all of these nodes are connected to each other. */
export function allConnected(nodes: readonly MeshNode[]): boolean {
  return nodes.every((node) =>
    nodes.every((other) => node === other || node.knows(other)?.state === 'connected'),
  )
}

/** Waits until something is so. */
export async function eventually(what: string, isSo: () => boolean, patience?: number): Promise<void> {
  await until(
    () => what,
    async () => isSo() || undefined,
    patience,
  )
}
