import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { crc32, inflateSync } from 'node:zlib'
import { DeflateScanner } from '../../../src/git/splice/deflate-scanner.ts'
import { type Blob, gzipMember, makeContent } from '../../unit/git/splice/streams.ts'

/** Splicing from packs that git itself made, at every compression level that it offers. */
describe('splicing from packs of git', () => {
  let directory: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'gachix-splice-'))
  })
  after(() => rmSync(directory, { recursive: true }))

  function git(repository: string, args: readonly string[], input: string | Buffer = ''): Buffer {
    const result = spawnSync('git', ['-C', repository, ...args], { input, maxBuffer: 1 << 28 })
    assert.equal(result.status, 0, result.stderr.toString())
    return result.stdout
  }

  /** Blobs of the repository's only pack, found through `git verify-pack`. */
  function packedBlobs(repository: string): Blob[] {
    const folder = join(repository, 'objects', 'pack')
    const name = readdirSync(folder).find((file) => file.endsWith('.pack'))
    assert.ok(name !== undefined)
    const pack = readFileSync(join(folder, name))
    const lines = git(repository, [
      'verify-pack',
      '-v',
      join(folder, name.replace(/pack$/, 'idx')),
    ]).toString()
    const blobs: Blob[] = []
    for (const line of lines.split('\n')) {
      const match = /^[0-9a-f]{40} blob +(\d+) (\d+) (\d+)$/.exec(line)
      if (match === null) continue
      const [size = 0, packed = 0, offset = 0] = match.slice(1).map(Number)
      let header = 1
      while ((pack[offset + header - 1]! & 0x80) !== 0) header++
      const stream = pack.subarray(offset + header, offset + packed)
      const content = inflateSync(stream)
      assert.equal(content.length, size)
      const scanner = new DeflateScanner()
      scanner.push(stream)
      scanner.finish()
      assert.equal(scanner.outputLength, size)
      assert.equal(scanner.consumed, stream.length)
      const { finalBit, endBit } = scanner
      blobs.push({ content, stream, record: { kind: 'bits', crc32: crc32(content), finalBit, endBit } })
    }
    return blobs
  }

  for (const level of [0, 1, 6, 9]) {
    it(`pack.compression ${level}`, () => {
      const repository = join(directory, `level-${level}`)
      spawnSync('git', ['init', '-q', '--bare', repository])
      const files = Array.from({ length: 60 }, (_, i) => {
        const path = join(directory, `file-${i}`)
        writeFileSync(path, makeContent(i === 0 ? 0 : Math.floor(1.2 ** i) + i, 1 + ((i * 37) % 256), i))
        return path
      })
      const ids = git(repository, ['hash-object', '-w', '--stdin-paths'], `${files.join('\n')}\n`)
      const prefix = join(repository, 'objects', 'pack', 'pack')
      git(
        repository,
        ['-c', `pack.compression=${level}`, 'pack-objects', '-q', '--window=0', '--no-reuse-object', prefix],
        ids,
      )
      const blobs = packedBlobs(repository)
      assert.equal(blobs.length, new Set(ids.toString().trim().split('\n')).size)

      const { member, content } = gzipMember(blobs, Buffer.from('framing between files'))
      const checked = spawnSync('gzip', ['-t'], { input: member })
      assert.equal(checked.status, 0, checked.stderr.toString())
      const unpacked = spawnSync('gunzip', ['-c'], { input: member, maxBuffer: 1 << 28 })
      assert.ok(unpacked.stdout.equals(content))
    })
  }
})
