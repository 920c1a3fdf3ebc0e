/**
 * Real Nix clients with an empty store of their own, to substitute into: this machine's Nix with a chroot store
 * (`--store ROOT`), or another version in a Debian chroot.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nixEnvironment, type PathFacts, readFacts } from './nix.ts'
import { attempt, type RunResult, run } from './process.ts'

/** The binary cache that a client uses, with the keys that it trusts. */
export interface CacheSettings {
  readonly url: string
  readonly publicKeys: readonly string[]
}

const CLIENT_CONF = `build-users-group =
sandbox = false
filter-syscalls = false
fallback = false
require-sigs = true
max-jobs = 4
fsync-metadata = false
experimental-features = nix-command
`

export class NixClient implements AsyncDisposable {
  /** The store's root, as this machine sees it: store path `/nix/store/x` is `root` + `/nix/store/x`. */
  readonly root: string
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv
  readonly #chroot: string | undefined

  private constructor(folder: string, env: NodeJS.ProcessEnv, chroot: string | undefined) {
    this.#folder = folder
    this.#env = env
    this.#chroot = chroot
    this.root = join(folder, 'root')
  }

  /**
   * An empty store, in the temporary folder or `within` another one. `chroot` is a system of another Debian whose Nix is to be used, with a
   * writable `/work`.
   */
  static async create(options: { chroot?: string; within?: string } = {}): Promise<NixClient> {
    const where = options.chroot === undefined ? (options.within ?? tmpdir()) : join(options.chroot, 'work')
    const folder = await mkdtemp(join(where, 'gxclient-'))
    await mkdir(join(folder, 'root'))
    const inner = options.chroot === undefined ? folder : folder.slice(options.chroot.length)
    const env = await nixEnvironment(folder, CLIENT_CONF)
    for (const [name, value] of Object.entries(env)) env[name] = value?.replaceAll(folder, inner)
    return new NixClient(folder, env, options.chroot)
  }

  get #store(): string {
    return this.#chroot === undefined ? this.root : this.root.slice(this.#chroot.length)
  }

  #attempt(command: readonly string[]): Promise<RunResult> {
    const all = this.#chroot === undefined ? command : ['chroot', this.#chroot, ...command]
    return attempt(all[0]!, all.slice(1), { env: this.#env })
  }

  async #run(command: readonly string[]): Promise<Buffer> {
    const all = this.#chroot === undefined ? command : ['chroot', this.#chroot, ...command]
    return run(all[0]!, all.slice(1), { env: this.#env })
  }

  /** The client's version, for instance `2.8.0`. */
  async version(): Promise<string> {
    return (await this.#run(['nix', '--version'])).toString().trim().split(' ').at(-1)!
  }

  /** `nix copy --from`, signatures required. Gives what Nix said; throws when it failed. */
  async copy(cache: CacheSettings, paths: readonly string[]): Promise<void> {
    const keys = ['--option', 'trusted-public-keys', cache.publicKeys.join(' ')]
    await this.#run(['nix', 'copy', '--from', cache.url, '--to', this.#store, ...keys, ...paths])
  }

  /** `nix copy --from`, whatever comes of it. */
  async tryCopy(cache: CacheSettings, paths: readonly string[]): Promise<RunResult> {
    const keys = ['--option', 'trusted-public-keys', cache.publicKeys.join(' ')]
    return this.#attempt(['nix', 'copy', '--from', cache.url, '--to', this.#store, ...keys, ...paths])
  }

  /** `nix-store -r` with the cache as the only substituter, signatures required. */
  async realise(cache: CacheSettings, paths: readonly string[]): Promise<void> {
    await this.#run([
      ...['nix-store', '--store', this.#store, '--realise', ...paths],
      ...['--option', 'substituters', cache.url],
      ...['--option', 'trusted-public-keys', cache.publicKeys.join(' ')],
    ])
  }

  /** `nix store verify` of everything here: contents against hashes, and a signature of a trusted key on every path. */
  async verify(publicKeys: readonly string[]): Promise<void> {
    const keys = ['--option', 'trusted-public-keys', publicKeys.join(' ')]
    await this.#run(['nix', 'store', 'verify', '--store', this.#store, '--all', ...keys])
  }

  /** What this store says of the given paths, in their order. */
  async facts(paths: readonly string[]): Promise<PathFacts[]> {
    return readFacts(await this.#run(['nix', 'path-info', '--store', this.#store, '--json', ...paths]), paths)
  }

  /** Where a store path's files are, seen from this machine. */
  real(path: string): string {
    return join(this.root, path)
  }

  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** SHA-256 (64 hex digits) of the NAR of each file or folder, read from the disk by the real Nix. */
export async function narHashes(realPaths: readonly string[]): Promise<string[]> {
  const lines = (await run('nix-hash', ['--type', 'sha256', ...realPaths])).toString().trim()
  return lines.split('\n')
}
