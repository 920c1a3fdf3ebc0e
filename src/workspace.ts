/**
 * An open repository with what works on it: the part of a node that the `gachix` command also needs when no node runs.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenSource } from './adding.ts'
import type { Config } from './config/schema.ts'
import { defaultDaemonSocket, unixSocket } from './ingest/daemon/connect.ts'
import { DaemonSource } from './ingest/daemon/source.ts'
import { MeshPart } from './mesh-part.ts'
import { NodeOperations } from './node-operations.ts'
import { processStatus } from './process-status.ts'
import { Replication } from './replication.ts'
import { ensureSigningKey, type SigningKey } from './signing-key.ts'
import { GitPackageStore } from './store/package-store.ts'
import { TrustedKeys } from './trusted-keys.ts'
import { errorCode } from './util/errors.ts'
import type { Logger } from './util/log.ts'
import { VERSION } from './util/version.ts'

export interface WorkspaceInit {
  readonly config: Config
  readonly logger: Logger
  /** Environment that says where the Nix daemon's socket is. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface WorkspaceOptions {
  /** Where the control socket will listen, given the folder of our own files; written into the lock. */
  readonly controlSocket?: (ownDir: string) => string
}

export class Workspace {
  readonly store: GitPackageStore
  readonly operations: NodeOperations
  /** What `status` says of the node's HTTP side; set by the node once it serves. */
  http: { readonly url: string } | null = null
  publicKey: string | null = null
  readonly #init: WorkspaceInit
  readonly #opened = performance.now()
  #key: Promise<SigningKey> | undefined
  #replication: Promise<Replication> | undefined
  #mesh: Promise<MeshPart> | undefined
  readonly #trusted: TrustedKeys
  /** Whether this is a node, and not one command. */
  readonly #isNode: boolean

  private constructor(init: WorkspaceInit, store: GitPackageStore, trusted: TrustedKeys, isNode: boolean) {
    this.#trusted = trusted
    this.#isNode = isNode
    this.#init = init
    this.store = store
    this.operations = new NodeOperations({
      store,
      openDaemon: (daemonSocket) => this.#openDaemon(daemonSocket),
      replication: () => this.replication(),
      signingKey: async () => (await this.signingKey()).key,
      diskUsage: () => packSizes(store),
      status: async () => ({
        version: VERSION,
        pid: process.pid,
        uptime: (performance.now() - this.#opened) / 1000,
        process: processStatus(),
        store: { path: store.gitDir, storeDir: store.storeDir, packages: store.size },
        http: this.http,
        publicKey: this.publicKey,
        sources: await this.operations.sources(),
        mesh: (await this.mesh()).status,
      }),
      sync: () => this.replication(),
      peers: () => this.mesh(),
    })
  }

  /**
   * Opens the configured repository, making it when there is none.
   *
   * @throws RepositoryLockedError when another process has it open
   */
  static async open(init: WorkspaceInit, options: WorkspaceOptions = {}): Promise<Workspace> {
    const { path, storeDir, compressionLevel } = init.config.store
    const { workers } = init.config.server
    const store = await GitPackageStore.open({
      path,
      storeDir,
      compressionLevel,
      ...(workers > 0 && { inflateWorkers: workers }),
      logger: init.logger,
      shortLived: options.controlSocket === undefined,
      ...options,
    })
    try {
      const trusted = new TrustedKeys(store.gitDir, init.config.trust.publicKeys)
      return new Workspace(init, store, trusted, options.controlSocket !== undefined)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** The node's key, made when there is none yet. @throws SigningKeyError */
  signingKey(): Promise<SigningKey> {
    this.#key ??= ensureSigningKey(this.#init.config, this.store.gitDir, this.#init.logger)
    return this.#key
  }

  /** The sources of the settings; nothing is connected before it is asked. @throws SigningKeyError */
  replication(): Promise<Replication> {
    const { config, logger } = this.#init
    this.#replication ??= this.signingKey().then(
      ({ key }) => new Replication({ config, store: this.store, trusted: this.#trusted, logger, key }),
    )
    return this.#replication
  }

  /** The node's part in the mesh, which it has joined, and whom it trusts. Only what serves is in a mesh. @throws SigningKeyError, GachixError */
  mesh(): Promise<MeshPart> {
    this.#mesh ??= this.#makeMesh()
    return this.#mesh
  }

  async #makeMesh(): Promise<MeshPart> {
    const { config, logger } = this.#init
    const { key } = await this.signingKey()
    const mesh = await MeshPart.create(
      {
        ...{ config, store: this.store, trusted: this.#trusted, logger, publicKey: key.publicKey },
        replication: await this.replication(),
      },
      this.#isNode,
    )
    await mesh.start()
    return mesh
  }

  async close(): Promise<void> {
    try {
      // What could not be made was said to whoever wanted it.
      await (await this.#mesh?.catch(() => undefined))?.stop()
      await (await this.#replication?.catch(() => undefined))?.close()
    } finally {
      await this.store.close()
    }
  }

  #openDaemon(daemonSocket: string | undefined): OpenSource | undefined {
    const { config, env } = this.#init
    if (!config.store.useLocalNixDaemon) return undefined
    const source = new DaemonSource({
      name: 'the local Nix daemon',
      connect: unixSocket(daemonSocket ?? defaultDaemonSocket(env)),
      storeDir: this.store.storeDir,
    })
    return { source, close: () => source.close() }
  }
}

/** Bytes of the repository's packs. What lies beside them is small or can be deleted. */
async function packSizes({ gitDir }: GitPackageStore): Promise<number> {
  const folder = join(gitDir, 'objects/pack')
  const names = await readdir(folder).catch(emptyWhenGone<string[]>([]))
  let total = 0
  for (const name of names) {
    // A pack may be merged away meanwhile.
    total += await stat(join(folder, name)).then(({ size }) => size, emptyWhenGone(0))
  }
  return total
}

function emptyWhenGone<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (errorCode(error) === 'ENOENT') return value
    throw error
  }
}
