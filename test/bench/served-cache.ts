/** A running binary cache as the benchmark sees it, and the proof that what it serves is right. */
import { createHash } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { fetchNarinfo, treeOf } from '../support/cache-client.ts'
import { hashPart, type Narinfo, sha256Hex } from '../support/narinfo.ts'
import type { PathFacts } from '../support/nix.ts'
import type { Request } from './client-messages.ts'

/** A binary cache, or one form of its NARs: the requests that fetch the whole set from it. */
export interface ServedCache {
  /** What the table calls it. */
  readonly name: string
  readonly url: string
  readonly port: number
  /** Of the server process. */
  readonly pid: number
  readonly narinfos: readonly Request[]
  readonly nars: readonly Request[]
}

/** How a cache's NARs are asked for: as the narinfo says, or as the product's plain ones, whatever it says. */
export type NarForm = 'as named' | 'plain'

export interface CacheToOpen {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly form: NarForm
  /** What the narinfos must say. */
  readonly compression: string
}

/**
 * Fetches everything once, which also warms the server and the page cache up, and checks it against what Nix says of
 * the set: narinfos, file hashes and sizes as they say, and the NARs that come out.
 *
 * @throws Error when anything is missing or wrong
 */
export async function openCache(cache: CacheToOpen, closure: readonly PathFacts[]): Promise<ServedCache> {
  const narinfos: Request[] = []
  const nars: Request[] = []
  for (const facts of closure) {
    const path = `/${hashPart(facts.path)}.narinfo`
    const { size } = await digest(await request(cache.url + path))
    narinfos.push({ path, size })
    nars.push(await openNar(cache, facts))
  }
  return { ...cache, port: Number(new URL(cache.url).port), narinfos, nars }
}

async function openNar(cache: CacheToOpen, facts: PathFacts): Promise<Request> {
  const narinfo = await fetchNarinfo(cache.url, facts.path)
  if (narinfo === undefined) throw new Error(`${cache.name} does not have ${facts.path}`)
  const field = (name: string): string => narinfo.fields.get(name) ?? ''
  const fail = (what: string): never => {
    throw new Error(`${cache.name}: ${what} of ${facts.path} is wrong`)
  }
  if (field('Compression') !== cache.compression) {
    fail(`Compression, ${field('Compression')} instead of ${cache.compression},`)
  }
  if (Number(field('NarSize')) !== facts.narSize) fail('NarSize')
  if (sha256Hex(field('NarHash')) !== facts.narHash) fail('NarHash')

  const plain = cache.form === 'plain'
  const path = plain ? `/nar/${treeOf(narinfo)}.nar` : `/${field('URL')}`
  const file = await digest(await request(cache.url + path))
  const expected = plain
    ? { size: facts.narSize, sha256: facts.narHash }
    : { size: Number(field('FileSize')), sha256: sha256Hex(field('FileHash')) }
  if (file.size !== expected.size) fail(`the size ${file.size} of the file`)
  if (file.sha256 !== expected.sha256) fail('the hash of the file')
  if (!plain && cache.compression !== 'none') {
    const unpacked = await digest(await request(cache.url + path), unpacker(narinfo))
    if (unpacked.sha256 !== facts.narHash || unpacked.size !== facts.narSize) fail('the NAR in the file')
  }
  return { path, size: file.size }
}

/** Fetches a plain NAR and compares it with what Nix says of its package. @throws Error when it is another */
export async function checkNar(url: string, facts: PathFacts): Promise<void> {
  const { size, sha256 } = await digest(await request(url))
  if (size !== facts.narSize || sha256 !== facts.narHash)
    throw new Error(`${url} is not the NAR of ${facts.path}`)
}

function unpacker(narinfo: Narinfo): Duplex {
  const compression = narinfo.fields.get('Compression')
  if (compression === 'gzip') return createGunzip({ chunkSize: 262_144 })
  if (compression === 'zstd') return createZstdDecompress({ chunkSize: 262_144 })
  throw new Error(`the benchmark cannot unpack ${compression}`)
}

async function request(url: string): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, resolve).once('error', reject)
  })
  if (response.statusCode !== 200) throw new Error(`${url}: status ${response.statusCode}`)
  return response
}

async function digest(body: IncomingMessage, unpack?: Duplex): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  let size = 0
  const count = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      size += chunk.length
      hash.update(chunk)
    }
  }
  if (unpack === undefined) await pipeline(body, count)
  else await pipeline(body, unpack, count)
  return { size, sha256: hash.digest('hex') }
}
