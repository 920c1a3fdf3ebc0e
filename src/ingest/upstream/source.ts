import { createHash } from 'node:crypto'
import { MAX_CACHE_INFO_SIZE, parseCacheInfo } from '../../nix/cache-info.ts'
import { MAX_NARINFO_SIZE, type NarInfo, parseNarInfo } from '../../nix/narinfo.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import { DEFAULT_STORE_DIR, isHashPart, type StorePath } from '../../nix/store-path.ts'
import type { PackageSource } from '../../store/api.ts'
import { errorMessage, GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { throwIfAborted, unlessAborted } from '../abort.ts'
import type { CacheFiles } from './cache-files.ts'
import { COMPRESSIONS, decompress } from './codec/decompress.ts'
import { UpstreamInvalidError, UpstreamMissingError, UpstreamNarError } from './errors.ts'
import { FileCache } from './file-cache.ts'
import { type CacheTimeouts, HttpCache } from './http-cache.ts'
import { parseUpstreamUrl } from './url.ts'

export interface UpstreamSourceInit {
  /** `https://`, `http://` or `file:///`, see `parseUpstreamUrl`. */
  readonly url: string
  /** Name of the cache in messages. */
  readonly name: string
  /** Store directory of its packages, `/nix/store` unless given. */
  readonly storeDir?: string
  /** Patience with a server. */
  readonly timeouts?: CacheTimeouts
}

/**
 * Bytes that a file may have beyond its NAR: what does not compress grows by a little. Without a bound, a file that
 * decodes to nothing would never end.
 */
const MAX_GROWTH = 64 * 1024

/**
 * The packages of a binary cache of Nix.
 *
 * @throws UpstreamUrlError
 */
export function createUpstreamSource(init: UpstreamSourceInit): UpstreamSource {
  const { name, url } = init
  const address = parseUpstreamUrl(url)
  const files =
    address.kind === 'file'
      ? new FileCache(name, address.folder)
      : new HttpCache(name, address.base, address.authorization, init.timeouts)
  return new UpstreamSource(name, files, init.storeDir)
}

/**
 * A binary cache as a source. A look-up costs one request. What it says is held against the rules of the format and against
 * what was asked, and a NAR against the sizes and the file hash in its narinfo; whether the narinfo itself can be trusted is for
 * whoever has the keys.
 *
 * Both methods throw `UpstreamError`s, which name the cache, and `AbortedError`.
 */
export class UpstreamSource implements PackageSource {
  readonly name: string
  readonly storeDir: string
  readonly #files: CacheFiles
  /** How the cache offers the NARs of infos that it gave. */
  readonly #narInfos = new WeakMap<PathInfo, NarInfo>()
  #checked: Promise<void> | undefined

  constructor(name: string, files: CacheFiles, storeDir = DEFAULT_STORE_DIR) {
    this.name = name
    this.storeDir = storeDir
    this.#files = files
  }

  async pathInfo(path: StorePath | string, options: AbortOptions = {}): Promise<PathInfo | undefined> {
    const hash = typeof path === 'string' ? path : path.hash
    if (!isHashPart(hash)) return undefined
    if (typeof path !== 'string' && path.storeDir !== this.storeDir) return undefined
    const narInfo = await this.#narInfo(hash, options)
    if (narInfo === undefined || (typeof path !== 'string' && !narInfo.storePath.equals(path)))
      return undefined
    const { url: _url, compression: _compression, fileHash: _hash, fileSize: _size, ...info } = narInfo
    this.#narInfos.set(info, narInfo)
    return info
  }

  async *nar(info: PathInfo, options: AbortOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    throwIfAborted(options.signal)
    const narInfo = this.#narInfos.get(info) ?? (await this.#narInfo(info.storePath.hash, options))
    if (narInfo === undefined) throw new UpstreamMissingError(this.name, `it does not have ${info.storePath}`)
    const same = Buffer.compare(narInfo.narHash.digest, info.narHash.digest) === 0
    if (!same || narInfo.narSize !== info.narSize || !narInfo.storePath.equals(info.storePath)) {
      throw new UpstreamInvalidError(this.name, `it has something else under ${info.storePath}`)
    }
    if (!COMPRESSIONS.includes(narInfo.compression)) {
      const known = COMPRESSIONS.join(', ')
      const found = `${info.storePath} is compressed by ${JSON.stringify(narInfo.compression)}`
      throw new UpstreamInvalidError(this.name, `${found}; known are ${known}`)
    }
    yield* this.#measured(narInfo, options)
  }

  /** Lets connections go; what runs on them fails. */
  close(): void {
    this.#files.close()
  }

  /** The NAR, which ends exactly where the narinfo says. */
  async *#measured(narInfo: NarInfo, options: AbortOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { storePath, narSize, compression } = narInfo
    let size = 0
    try {
      for await (const chunk of decompress(compression, this.#file(narInfo, options), options.signal)) {
        size += chunk.length
        if (size > narSize) {
          throw new UpstreamNarError(
            this.name,
            `the NAR of ${storePath} is longer than the ${narSize} bytes promised`,
          )
        }
        yield chunk
      }
    } catch (error) {
      throwIfAborted(options.signal)
      if (error instanceof GachixError) throw error
      throw new UpstreamNarError(
        this.name,
        `the NAR of ${storePath} cannot be decompressed by ${compression}: ${errorMessage(error)}`,
        { cause: error },
      )
    }
    if (size < narSize) {
      throw new UpstreamNarError(this.name, `the NAR of ${storePath} ends after ${size} of ${narSize} bytes`)
    }
  }

  /** The file behind the narinfo's URL, which must have the size and hash that the narinfo gives. */
  async *#file(narInfo: NarInfo, options: AbortOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const { url, storePath, narSize, fileSize, fileHash } = narInfo
    const largest = narSize + Math.ceil(narSize / 4) + MAX_GROWTH
    const wrong = (what: string) => new UpstreamNarError(this.name, `the file ${url} of ${storePath} ${what}`)
    if (fileSize !== undefined && fileSize > largest)
      throw wrong(`is much larger than its NAR (${fileSize} bytes)`)
    const hash = fileHash && createHash(fileHash.algorithm)
    let size = 0
    for await (const chunk of this.#files.open(url, fileSize ?? largest, options)) {
      size += chunk.length
      hash?.update(chunk)
      yield chunk
    }
    if (fileSize !== undefined && size !== fileSize) throw wrong(`has ${size} bytes instead of ${fileSize}`)
    if (fileHash && Buffer.compare(hash!.digest(), fileHash.digest) !== 0)
      throw wrong('does not have its FileHash')
  }

  async #narInfo(hash: string, options: AbortOptions): Promise<NarInfo | undefined> {
    await this.#check(options)
    const file = await this.#files.read(`${hash}.narinfo`, MAX_NARINFO_SIZE, options)
    if (file === undefined) return undefined
    const narInfo = this.#parse(`the narinfo of ${hash}`, file, (text) =>
      parseNarInfo(text, { storeDir: this.storeDir }),
    )
    if (narInfo.storePath.hash === hash) return narInfo
    throw new UpstreamInvalidError(this.name, `asked for ${hash} it answers with ${narInfo.storePath}`)
  }

  /** Asks once what the cache is; a failure is asked again. Who waits may leave, the others still want the answer. */
  async #check({ signal }: AbortOptions): Promise<void> {
    throwIfAborted(signal)
    this.#checked ??= this.#readCacheInfo().catch((error: unknown) => {
      this.#checked = undefined
      throw error
    })
    await unlessAborted(this.#checked, signal)
  }

  async #readCacheInfo(): Promise<void> {
    const file = await this.#files.read('nix-cache-info', MAX_CACHE_INFO_SIZE)
    if (file === undefined) {
      throw new UpstreamInvalidError(
        this.name,
        'it has no nix-cache-info: is its URL that of a binary cache?',
      )
    }
    const { storeDir } = this.#parse('nix-cache-info', file, parseCacheInfo)
    if (storeDir === undefined || storeDir === this.storeDir) return
    throw new UpstreamInvalidError(
      this.name,
      `its packages belong to ${JSON.stringify(storeDir)}, those of this node to ${this.storeDir}`,
    )
  }

  #parse<T>(what: string, file: Buffer, parse: (text: string) => T): T {
    try {
      return parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file))
    } catch (cause) {
      throw new UpstreamInvalidError(this.name, `${what} is wrong: ${errorMessage(cause)}`, { cause })
    }
  }
}
