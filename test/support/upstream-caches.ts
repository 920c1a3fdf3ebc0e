/** Binary caches as the real Nix makes them, one of each compression, behind the real nginx. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Gachix } from './gachix.ts'
import { Nginx } from './nginx.ts'
import type { NixStore } from './nix.ts'

/** What Nix calls the ways in which a NAR can be compressed. */
export const COMPRESSIONS = ['none', 'xz', 'zstd', 'bzip2', 'br', 'gzip'] as const

export type Compression = (typeof COMPRESSIONS)[number]

export class UpstreamCaches implements AsyncDisposable {
  readonly publicKey: string
  readonly #nginx: Nginx
  readonly #folder: string

  private constructor(publicKey: string, nginx: Nginx, folder: string) {
    this.publicKey = publicKey
    this.#nginx = nginx
    this.#folder = folder
  }

  /** Copies the closures of paths of a store, signed by a key of its own. */
  static async start(store: NixStore, paths: readonly string[]): Promise<UpstreamCaches> {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-upstream-'))
    const { secretFile, publicKey } = await store.signingKey('upstream.test-1')
    const folders = COMPRESSIONS.map((compression) => join(folder, compression))
    for (const [index, compression] of COMPRESSIONS.entries()) {
      const url = `file://${folders[index]}?compression=${compression}&secret-key=${secretFile}`
      await store.inside(['nix', 'copy', '--to', url, ...paths])
    }
    return new UpstreamCaches(publicKey, await Nginx.start(folders), folder)
  }

  url(compression: Compression): string {
    return this.#nginx.url(COMPRESSIONS.indexOf(compression))
  }

  /** A node without a daemon whose one source is such a cache, named `up`. */
  node(compression: Compression): Promise<Gachix> {
    const settings = `store:
  use_local_nix_daemon: false
  upstream_timeout: 10000
  upstreams: [{ url: "${this.url(compression)}", name: up }]
trust:
  public_keys: ["${this.publicKey}"]
mesh:
  enabled: false
`
    return Gachix.create({ settings })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#nginx[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
