import { parseHash } from '../../nix/hash.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { compareStorePaths, DEFAULT_STORE_DIR, isHashPart, StorePath } from '../../nix/store-path.ts'
import type { PackageSource } from '../../store/api.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { DaemonClient, type DaemonClientOptions, type DaemonPathInfo } from './client.ts'
import type { Connect } from './connect.ts'
import { DaemonProtocolError } from './errors.ts'
import { DaemonPool, type DaemonPoolOptions } from './pool.ts'

export interface DaemonSourceInit extends Omit<DaemonClientOptions, 'peer'>, DaemonPoolOptions {
  /** Makes the connections, see `unixSocket`. */
  readonly connect: Connect
  /** Name of the daemon in messages, for instance `local Nix daemon`. */
  readonly name: string
  /** The daemon's store directory; default `/nix/store`. */
  readonly storeDir?: string
}

/**
 * The packages of a Nix store, learned from its daemon. Connections are opened as they are needed; `close()` ends
 * them.
 *
 * Besides the errors of `DaemonClient`, `pathInfo` throws `DaemonProtocolError` for a registration that breaks
 * Nix's rules.
 */
export class DaemonSource implements PackageSource {
  readonly name: string
  readonly storeDir: string
  readonly #pool: DaemonPool

  constructor(init: DaemonSourceInit) {
    this.name = init.name
    this.storeDir = init.storeDir ?? DEFAULT_STORE_DIR
    const client = { ...init, peer: init.name }
    this.#pool = new DaemonPool((options) => DaemonClient.open(init.connect, { ...client, ...options }), init)
  }

  async pathInfo(path: StorePath | string, options: AbortOptions = {}): Promise<PathInfo | undefined> {
    if (typeof path !== 'string') {
      // Asked for a path outside its store directory, a daemon hangs up.
      return path.storeDir === this.storeDir ? this.#pathInfo(path, options) : undefined
    }
    if (!isHashPart(path)) return undefined
    const found = await this.#pool.use((client) => client.queryPathFromHashPart(path, options), options)
    if (found === undefined) return undefined
    const storePath = this.#parse(() => StorePath.parse(found, this.storeDir), `hash part ${path}`)
    if (storePath.hash === path) return this.#pathInfo(storePath, options)
    throw new DaemonProtocolError(`${this.name} names ${storePath} for the hash part ${path}`)
  }

  /**
   * Holds a temporary root for the path while it is read, so that the daemon's garbage collector leaves it alone.
   */
  async *nar(info: PathInfo, options: AbortOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    const path = info.storePath.toString()
    const { client } = await this.#pool.lease((fresh) => fresh.addTempRoot(path, options), options)
    try {
      yield* client.narFromPath(path, options)
    } finally {
      this.#pool.release(client)
    }
  }

  /** Ends all connections; what runs fails. */
  close(): void {
    this.#pool.close()
  }

  async #pathInfo(path: StorePath, options: AbortOptions): Promise<PathInfo | undefined> {
    const info = await this.#pool.use((client) => client.queryPathInfo(path.toString(), options), options)
    return info && this.#parse(() => toPathInfo(path, info), path.toString())
  }

  #parse<T>(parse: () => T, of: string): T {
    try {
      return parse()
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new DaemonProtocolError(`what ${this.name} says of ${of} is wrong: ${message}`, { cause })
    }
  }
}

/**
 * The checked form of a daemon's answer about `path`.
 *
 * @throws GachixError for what breaks Nix's rules
 */
export function toPathInfo(path: StorePath, info: DaemonPathInfo): PathInfo {
  if (info.narSize === 0) throw new DaemonProtocolError('its NAR is said to have no bytes')
  const references = info.references
    .map((text) => StorePath.parse(text, path.storeDir))
    .sort(compareStorePaths)
  const twice = references.find((reference, i) => i > 0 && references[i - 1]?.equals(reference))
  if (twice !== undefined) throw new DaemonProtocolError(`it refers to ${twice} twice`)
  return {
    storePath: path,
    narHash: parseHash(info.narHash, 'sha256'),
    narSize: info.narSize,
    references,
    ...(info.deriver !== '' && { deriver: StorePath.parse(info.deriver, path.storeDir) }),
    signatures: info.signatures,
    ...(info.ca !== '' && { ca: info.ca }),
  }
}
