/**
 * An open repository with what works on it: the part of a node that the `gachix` command also needs when no node runs.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { OpenSource } from './adding.ts'
import type { Config } from './config/schema.ts'
import { defaultDaemonSocket, unixSocket } from './ingest/daemon/connect.ts'
import { DaemonSource } from './ingest/daemon/source.ts'
import { StoreOperations } from './operations.ts'
import { Replication } from './replication.ts'
import { ensureSigningKey, type SigningKey } from './signing-key.ts'
import { GitPackageStore } from './store/package-store.ts'
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
  readonly operations: StoreOperations
  /** What `status` says of the node's HTTP side; set by the node once it serves. */
  http: { readonly url: string } | null = null
  publicKey: string | null = null
  readonly #init: WorkspaceInit
  readonly #opened = performance.now()
  #key: Promise<SigningKey> | undefined
  #replication: Promise<Replication> | undefined

  private constructor(init: WorkspaceInit, store: GitPackageStore) {
    this.#init = init
    this.store = store
    this.operations = new StoreOperations({
      store,
      openDaemon: (daemonSocket) => this.#openDaemon(daemonSocket),
      replication: () => this.replication(),
      signingKey: async () => (await this.signingKey()).key,
      diskUsage: () => packSizes(store),
      status: async () => ({
        version: VERSION,
        pid: process.pid,
        uptime: (performance.now() - this.#opened) / 1000,
        store: { path: store.gitDir, storeDir: store.storeDir, packages: store.size },
        http: this.http,
        publicKey: this.publicKey,
        sources: await this.operations.sources(),
      }),
    })
  }

  /**
   * Opens the configured repository, making it when there is none.
   *
   * @throws RepositoryLockedError when another process has it open
   */
  static async open(init: WorkspaceInit, options: WorkspaceOptions = {}): Promise<Workspace> {
    const { path, storeDir, compressionLevel } = init.config.store
    const store = await GitPackageStore.open({
      path,
      storeDir,
      compressionLevel,
      logger: init.logger,
      shortLived: options.controlSocket === undefined,
      ...options,
    })
    return new Workspace(init, store)
  }

  /** The node's key, made when there is none yet. @throws SigningKeyError */
  signingKey(): Promise<SigningKey> {
    this.#key ??= ensureSigningKey(this.#init.config, this.store.gitDir, this.#init.logger)
    return this.#key
  }

  /** The sources of the settings; nothing is connected before it is asked. @throws SigningKeyError */
  replication(): Promise<Replication> {
    this.#replication ??= this.signingKey().then(
      ({ key }) =>
        new Replication({ config: this.#init.config, store: this.store, logger: this.#init.logger, key }),
    )
    return this.#replication
  }

  async close(): Promise<void> {
    await (await this.#replication)?.close()
    await this.store.close()
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
