/** Plain NARs from a node whose worker threads inflate them (`server.workers`). */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { fetchNarinfo, treeOf } from '../support/cache-client.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import { chunksOf, directory, file, makePackage } from '../support/packages.ts'

/** Has the newest worker thread fail on SIGUSR2: it does not understand `null`. */
const FAILING_WORKERS = `
  const threads = []
  process.on('worker', (thread) => threads.push(thread))
  process.on('SIGUSR2', () => threads.at(-1)?.postMessage(null))
`
const LINES = Array.from({ length: 4000 }, (_, i) => `line ${(i * 7919) % 65_521} of a file\n`)
const made = makePackage(
  'parts',
  directory(
    Object.fromEntries(
      Array.from({ length: 150 }, (_, i) => [
        `file-${i}`,
        file(`${i}\n${LINES.slice(i % 60).join('')}`.repeat(i % 50 === 49 ? 20 : 1)),
      ]),
    ),
  ),
)

describe('a node with worker threads', () => {
  let folder: string
  let gachix: Gachix
  let node: GachixNode
  let url: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-workers-'))
    await writeFile(join(folder, 'failing.mjs'), FAILING_WORKERS)
    gachix = await Gachix.create({
      env: { GACHIX__SERVER__WORKERS: '2' },
      nodeFlags: ['--import', join(folder, 'failing.mjs')],
    })
    const store = await GitPackageStore.open({ path: gachix.repository })
    const session = store.ingest()
    await session.add(made.info, chunksOf(made.nar))
    await session.finish()
    await store.close()
    node = await gachix.serve()
    const narinfo = await fetchNarinfo(node.url, made.info.storePath.toString())
    url = `${node.url}/nar/${treeOf(narinfo!)}.nar`
  })
  after(async () => {
    await gachix?.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('sends the NAR to several clients at once, also when others leave in its middle', async () => {
    const leaving = Array.from({ length: 4 }, () => download(url, { stopAfter: 100_000 }))
    const staying = Array.from({ length: 4 }, () => download(url))
    await Promise.all(leaving)
    for (const { complete, body } of await Promise.all(staying)) {
      assert.ok(complete)
      assert.ok(body.equals(made.nar))
    }
  })

  it('breaks the connection off when a thread fails, and serves the NAR to who asks again', async () => {
    let broken = 0
    for (let attempt = 0; attempt < 100 && broken === 0; attempt++) {
      const { status, complete, body } = await download(url, {
        onData: (length) => length > 200_000 && node.child.kill('SIGUSR2'),
      })
      if (status === 200 && complete) assert.ok(body.equals(made.nar))
      else broken++
    }
    assert.equal(broken, 1)
    // The thread may still be ending.
    let answer = await download(url)
    for (let attempt = 0; attempt < 20 && !answer.complete; attempt++) answer = await download(url)
    assert.ok(answer.complete && answer.body.equals(made.nar))
    assert.match(node.output(), /a thread that inflates failed/)
  })

  it('lets downloads end when it stops, and ends itself', async () => {
    let started = () => {}
    const running = new Promise<void>((resolve) => {
      started = resolve
    })
    const downloading = download(url, { onData: () => started() })
    await running
    const stopped = node.stop()
    const { complete, body } = await downloading
    assert.ok(complete && body.equals(made.nar))
    await stopped
    assert.equal(node.child.exitCode, 0)
  })
})

interface Download {
  readonly status: number
  /** Whether it ended as its `Content-Length` promised. */
  readonly complete: boolean
  readonly body: Buffer
}

interface DownloadOptions {
  /** Told after each piece how much there is. */
  readonly onData?: (length: number) => unknown
  /** Leaves after so many bytes. */
  readonly stopAfter?: number
}

function download(url: string, { onData, stopAfter = Infinity }: DownloadOptions = {}): Promise<Download> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false }, (response) => {
      request.off('error', reject).on('error', () => {})
      const pieces: Buffer[] = []
      let length = 0
      response.on('data', (piece: Buffer) => {
        pieces.push(piece)
        length += piece.length
        onData?.(length)
        if (length > stopAfter) request.destroy()
      })
      response.on('error', () => {})
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          complete: response.complete && response.statusCode === 200,
          body: Buffer.concat(pieces),
        }),
      )
    })
    request.on('error', reject)
  })
}
