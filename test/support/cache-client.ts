/** A binary cache seen by plain HTTP: what it says of a path and what bytes it serves, checked against what Nix says. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { get } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { hashPart, type Narinfo, parseNarinfo, sha256Hex } from './narinfo.ts'
import type { PathFacts } from './nix.ts'

export interface Digest {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  /** Of the body as it came over the wire. */
  readonly size: number
  readonly sha256: string
  /** Of the NAR: the body, or what it unpacks to. */
  readonly narSize: number
  readonly narSha256: string
}

/** Fetches a URL and digests it, streaming. With `gunzip` the body is also unpacked. */
export async function digest(url: string, gunzip = false): Promise<Digest> {
  const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    get(url, resolve).once('error', reject)
  })
  const wire = createHash('sha256')
  const nar = createHash('sha256')
  let size = 0
  let narSize = 0
  const count = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      size += chunk.length
      wire.update(chunk)
      yield chunk
    }
  }
  const finish = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      narSize += chunk.length
      nar.update(chunk)
    }
  }
  if (gunzip) await pipeline(response, count, createGunzip({ chunkSize: 262_144 }), finish)
  else await pipeline(response, count, finish)
  return {
    status: response.statusCode!,
    headers: response.headers,
    size,
    sha256: wire.digest('hex'),
    narSize,
    narSha256: nar.digest('hex'),
  }
}

/** The narinfo of a store path; `undefined` when the cache answers 404. Any other answer is an error. */
export async function fetchNarinfo(base: string, path: string): Promise<Narinfo | undefined> {
  const response = await fetch(`${base}/${hashPart(path)}.narinfo`)
  const text = await response.text()
  if (response.status === 404) return undefined
  assert.equal(response.status, 200, `${path}: ${response.status} ${text}`)
  return parseNarinfo(text)
}

/** The Git tree id in a NAR's URL. */
export function treeOf(narinfo: Narinfo): string {
  const found = /^nar\/([0-9a-f]{40})\./.exec(narinfo.fields.get('URL') ?? '')
  assert.ok(found, `URL: ${narinfo.fields.get('URL')}`)
  return found[1]!
}

/**
 * Checks everything that a cache serves of one package against what the real Nix says of it: the narinfo's facts, the
 * NAR that it names with its file hash and length, and the plain NAR.
 */
export async function checkServed(base: string, facts: PathFacts): Promise<Narinfo> {
  const narinfo = await fetchNarinfo(base, facts.path)
  assert.ok(narinfo, `${facts.path} is not served`)
  const field = (name: string): string => narinfo.fields.get(name) ?? ''
  const baseNames = facts.references.map((path) => path.slice('/nix/store/'.length))
  assert.equal(field('StorePath'), facts.path)
  assert.equal(sha256Hex(field('NarHash')), facts.narHash, `NarHash of ${facts.path}`)
  assert.equal(Number(field('NarSize')), facts.narSize, `NarSize of ${facts.path}`)
  assert.deepEqual(field('References').split(' ').filter(Boolean), baseNames, `References of ${facts.path}`)
  assert.equal(field('CA'), facts.ca ?? '', `CA of ${facts.path}`)

  const compression = field('Compression')
  assert.ok(compression === 'gzip' || compression === 'none', `Compression: ${compression}`)
  const named = await digest(`${base}/${field('URL')}`, compression === 'gzip')
  assert.equal(named.status, 200)
  assert.equal(named.narSha256, facts.narHash, `NAR of ${facts.path} (${compression})`)
  assert.equal(Number(named.headers['content-length']), named.size)
  assert.equal(named.headers['content-encoding'], undefined)
  if (field('FileHash') !== '')
    assert.equal(sha256Hex(field('FileHash')), named.sha256, `FileHash of ${facts.path}`)
  if (field('FileSize') !== '')
    assert.equal(Number(field('FileSize')), named.size, `FileSize of ${facts.path}`)

  if (compression !== 'none') {
    const plain = await digest(`${base}/nar/${treeOf(narinfo)}.nar`)
    assert.equal(plain.status, 200)
    assert.equal(plain.narSha256, facts.narHash, `plain NAR of ${facts.path}`)
    assert.equal(Number(plain.headers['content-length']), facts.narSize)
  }
  return narinfo
}
