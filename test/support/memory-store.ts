/** A package store in memory, with real NARs and real gzip bodies, whose reads can be watched, held up and broken. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { NarFramer } from '../../src/nix/nar/writer.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { compareStorePaths, type StorePath } from '../../src/nix/store-path.ts'
import type {
  ByteRange,
  IngestSession,
  NarBody,
  NarEncoding,
  PackageEntry,
  PackageStore,
  StoredPackage,
} from '../../src/store/api.ts'
import type { AbortOptions } from '../../src/util/lifecycle.ts'
import { storePathOf } from './memory-source.ts'

const CHUNK_SIZE = 64 * 1024

export interface MemoryPackage {
  readonly path: StorePath
  readonly hash: string
  readonly tree: string
  readonly nar: Buffer
  /** The gzip body, until `repack` or `loseGzip`. */
  gzip: Buffer | undefined
}

export interface MemoryPackageOptions {
  readonly contents?: string | Buffer
  readonly references?: readonly string[]
  readonly signatures?: readonly string[]
  readonly ca?: string
  /** Whether the gzip form has been worked out; it has unless said otherwise. */
  readonly gzip?: boolean
}

type Chunks = AsyncIterable<Uint8Array>

export class MemoryStore implements PackageStore {
  readonly name = 'memory'
  readonly storeDir = '/nix/store'
  /** NAR readers that have been started and not released. */
  readers = 0
  /** Signals that readers were given. */
  readonly signals: AbortSignal[] = []
  /** Thrown by everything that reads, while set. */
  fault: Error | undefined
  /** Changes what a reader yields. */
  transform: (chunks: Chunks, signal: AbortSignal | undefined) => Chunks = (chunks) => chunks
  readonly #packages = new Map<string, { readonly info: PathInfo; readonly content: MemoryPackage }>()

  /** Publishes a package of one file. */
  put(name: string, options: MemoryPackageOptions = {}): MemoryPackage {
    const path = storePathOf(name)
    const nar = narOf(Buffer.from(options.contents ?? `contents of ${name}`))
    const info: PathInfo = {
      storePath: path,
      narHash: { algorithm: 'sha256', digest: createHash('sha256').update(nar).digest() },
      narSize: nar.length,
      references: (options.references ?? []).map(storePathOf).sort(compareStorePaths),
      signatures: options.signatures ?? [],
      ...(options.ca !== undefined && { ca: options.ca }),
    }
    const tree = createHash('sha1').update(nar).digest('hex')
    const gzip = options.gzip === false ? undefined : gzipSync(nar)
    const content: MemoryPackage = { path, hash: path.hash, tree, nar, gzip }
    this.#packages.set(path.hash, { info, content })
    return content
  }

  remove(hash: string): void {
    this.#packages.delete(hash)
  }

  get size(): number {
    return this.#packages.size
  }

  has(hash: string): boolean {
    return this.#packages.has(hash)
  }

  hasClosure(hash: string): boolean {
    return this.#packages.get(hash)?.info.references.every((path) => this.has(path.hash)) ?? false
  }

  commitOf(hash: string): string | undefined {
    return this.hasClosure(hash) ? '1'.repeat(40) : undefined
  }

  *entries(): Generator<PackageEntry> {
    for (const hash of [...this.#packages.keys()].sort()) yield { hash, narinfo: '0'.repeat(40) }
  }

  async pathInfo(path: StorePath | string): Promise<PathInfo | undefined> {
    return this.#packages.get(typeof path === 'string' ? path : path.hash)?.info
  }

  async package(hash: string): Promise<StoredPackage | undefined> {
    if (this.fault) throw this.fault
    const found = this.#packages.get(hash)
    if (found === undefined) return undefined
    const { gzip, tree } = found.content
    return { info: found.info, tree, ...(gzip && { gzip: { ...idOf(gzip), size: gzip.length } }) }
  }

  async openNar(tree: string, encoding: NarEncoding): Promise<NarBody | undefined> {
    if (this.fault) throw this.fault
    const found = [...this.#packages.values()].find(({ content }) => content.tree === tree)?.content
    const bytes = encoding === 'gzip' ? found?.gzip : found?.nar
    if (bytes === undefined) return undefined
    return {
      encoding,
      size: bytes.length,
      id: idOf(bytes).id,
      read: (range, options) => this.#read(bytes, range, options),
    }
  }

  async listing(hash: string): Promise<string | undefined> {
    if (this.fault) throw this.fault
    const found = this.#packages.get(hash)
    if (found === undefined) return undefined
    const size = found.content.nar.readUInt32LE(88)
    return JSON.stringify({ version: 1, root: { type: 'regular', size, narOffset: 96 } })
  }

  nar(info: PathInfo): Chunks {
    return this.#read(this.#packages.get(info.storePath.hash)!.content.nar)
  }

  ingest(): IngestSession {
    throw new Error('nothing is added to this store')
  }

  quarantine(): Promise<never> {
    throw new Error('nothing is added to this store')
  }

  async *#read(bytes: Buffer, range?: ByteRange, options: AbortOptions = {}): AsyncGenerator<Uint8Array> {
    const { signal } = options
    if (signal) this.signals.push(signal)
    this.readers++
    try {
      const part = range === undefined ? bytes : bytes.subarray(range.start, range.end)
      yield* this.transform(chunksOf(part), signal)
    } finally {
      this.readers--
    }
  }
}

function narOf(contents: Buffer): Buffer {
  const framer = new NarFramer()
  framer.start()
  framer.fileOpen(false, contents.length)
  const head = framer.take()
  framer.fileClose(contents.length)
  return Buffer.concat([head, contents, framer.take()])
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK_SIZE) yield bytes.subarray(at, at + CHUNK_SIZE)
}

function idOf(bytes: Buffer): { id: string; sha256: Buffer } {
  const sha256 = createHash('sha256').update(bytes).digest()
  return { id: sha256.toString('hex').slice(0, 32), sha256 }
}
