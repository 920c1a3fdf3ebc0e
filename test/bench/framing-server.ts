/**
 * A yardstick: NARs made of plain files as Node does it best, which is what a cache over `/nix/store` must do. A process of
 * its own: `framing-server.ts ROOT`, with the packages on standard input; it says its port when it listens.
 */
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { NarFramer } from '../../src/nix/nar/writer.ts'

/** As much as the product sends at once. */
const CHUNK = 256 * 1024

export interface FramedPackage {
  /** Path of the request. */
  readonly path: string
  readonly storePath: string
  readonly narSize: number
}

/** Collects framing and contents into chunks, and writes them. */
class Output {
  readonly framer = new NarFramer()
  readonly #res: ServerResponse
  #chunk = Buffer.allocUnsafeSlow(CHUNK)
  #used = 0

  constructor(res: ServerResponse) {
    this.#res = res
  }

  async bytes(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const copied = bytes.copy(this.#chunk, this.#used, at)
      at += copied
      await this.#filled(copied)
    }
  }

  /** The contents of a file, read into the chunk. */
  async file(path: Buffer): Promise<void> {
    await using handle = await open(path)
    for (;;) {
      const { bytesRead } = await handle.read(this.#chunk, this.#used)
      if (bytesRead === 0) return
      await this.#filled(bytesRead)
    }
  }

  async end(): Promise<void> {
    await this.bytes(this.framer.take())
    this.#res.end(this.#chunk.subarray(0, this.#used))
  }

  async #filled(length: number): Promise<void> {
    this.#used += length
    if (this.#used < CHUNK) return
    const taken = this.#res.write(this.#chunk)
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK)
    this.#used = 0
    if (!taken) await new Promise((resolve) => this.#res.once('drain', resolve))
  }
}

async function node(path: Buffer, output: Output): Promise<void> {
  const { framer } = output
  const facts = await lstat(path)
  if (facts.isSymbolicLink()) return framer.symlink(await readlink(path, 'buffer'))
  if (facts.isFile()) {
    framer.fileOpen((facts.mode & 0o100) !== 0, facts.size)
    await output.bytes(framer.take())
    await output.file(path)
    framer.fileClose(facts.size)
    return
  }
  framer.directoryOpen()
  const names = await readdir(path, { encoding: 'buffer' })
  for (const name of names.sort(Buffer.compare)) {
    framer.entryOpen(name)
    await node(Buffer.concat([path, SLASH, name]), output)
    framer.entryClose()
  }
  framer.directoryClose()
}

const SLASH = Buffer.from('/')

const root = process.argv[2]
if (root === undefined) throw new Error('usage: framing-server.ts ROOT')
const packages = new Map(
  (JSON.parse(await text(process.stdin)) as FramedPackage[]).map((each) => [each.path, each]),
)
const server = createServer((req, res) => {
  const wanted = packages.get(req.url ?? '')
  if (wanted === undefined) {
    res.writeHead(404).end()
    return
  }
  res.writeHead(200, { 'Content-Length': wanted.narSize })
  const output = new Output(res)
  output.framer.start()
  node(Buffer.from(join(root, wanted.storePath)), output)
    .then(() => output.end())
    .catch(() => res.destroy())
})
server.keepAliveTimeout = 75_000
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
