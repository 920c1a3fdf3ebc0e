/**
 * A mass rebuild comes to a node that has what was before it: only what is missing travels. The bytes on the wire are compared with
 * those of zstd NARs of the same paths, and of `git fetch` of the same refs.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parseNarInfo } from '../../src/nix/narinfo.ts'
import { fsck, Gachix } from '../support/gachix.ts'
import { hashPart } from '../support/narinfo.ts'
import { run } from '../support/process.ts'
import { type Corpus, openCorpus } from './environment.ts'

const mesh = { GACHIX__MESH__ENABLED: 'true', GACHIX__MESH__LISTEN: '/ip4/127.0.0.1/tcp/0' }
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

describe('generation B for a node that has generation A', () => {
  let corpus: Corpus
  let folder: string
  let origin: Gachix
  let node: Gachix
  let publicKey: string
  /** What B takes as zstd NARs, and by `git fetch`. */
  let others: [zstd: number, git: number]
  const closures = {} as Record<'A' | 'B', string[]>

  before(async () => {
    corpus = await openCorpus()
    folder = await mkdtemp(join(tmpdir(), 'gachix-resync-'))
    const key = await corpus.store.signingKey('resync.test-1')
    publicKey = key.publicKey
    origin = await Gachix.create({ daemonSocket: corpus.store.socket, keyFile: key.secretFile })
    for (const name of ['A', 'B'] as const) {
      closures[name] = await corpus.store.closure([corpus.systems[name]])
      await origin.run(['add', corpus.systems[name]])
    }
    node = await Gachix.create({
      settings: `store: { remotes: [{ url: "${origin.repository}", name: origin }] }
trust: { public_keys: ["${key.publicKey}"] }
`,
    })
  })

  after(async () => {
    await node?.close()
    await origin?.close()
    await corpus?.store.close()
    await rm(folder, { recursive: true, force: true })
  })

  /** Bytes of the zstd NARs of those paths of B that are not in A. */
  async function zstdBytes(): Promise<number> {
    const cache = join(folder, 'zstd')
    await corpus.store.inside(['nix', 'copy', '--to', `file://${cache}?compression=zstd`, corpus.systems.B])
    let bytes = 0
    for (const path of closures.B.filter((each) => !closures.A.includes(each))) {
      const text = await readFile(join(cache, `${hashPart(path)}.narinfo`), 'utf8')
      bytes += parseNarInfo(text).fileSize!
    }
    return bytes
  }

  /** Bytes of the pack that `git fetch` brings for B's refs, where A's are there. */
  async function gitBytes(): Promise<number> {
    const bare = join(folder, 'bare')
    await run('git', ['init', '-q', '--bare', bare])
    const fetched: number[] = []
    for (const name of ['A', 'B'] as const) {
      const refs = closures[name].map((path) => `refs/${hashPart(path)}/*:refs/${hashPart(path)}/*`)
      const flags = ['-c', 'transfer.unpackLimit=1', '-c', 'gc.auto=0', '-c', 'maintenance.auto=false']
      await run('git', ['-C', bare, ...flags, 'fetch', '-q', `file://${origin.repository}`, ...refs])
      let bytes = 0
      for (const file of await readdir(join(bare, 'objects/pack'))) {
        if (file.endsWith('.pack')) bytes += (await stat(join(bare, 'objects/pack', file))).size
      }
      fetched.push(bytes)
    }
    return fetched[1]! - fetched[0]!
  }

  test('fewer bytes travel than as zstd NARs, or by git fetch', async (t) => {
    const pull = async (name: 'A' | 'B') =>
      JSON.parse(await node.run(['sync', corpus.systems[name], '--json'])) as {
        added: number
        bytes: number
        received: number
      }
    const first = await pull('A')
    const second = await pull('B')
    await fsck(node.repository)
    others = [await zstdBytes(), await gitBytes()]
    const [zstd, git] = others
    assert.equal(second.added, closures.B.filter((path) => !closures.A.includes(path)).length)
    t.diagnostic(`A: ${mb(first.bytes)} of NARs by ${mb(first.received)} on the wire`)
    t.diagnostic(
      `B after A: ${mb(second.bytes)} of NARs by ${mb(second.received)} on the wire; zstd NARs ${mb(zstd)}, git fetch ${mb(git)}`,
    )
    assert.ok(second.received < zstd, 'less than the zstd NARs')
    assert.ok(second.received < git, 'less than git fetch')
  })

  test('the same from a peer', async (t) => {
    await using peer = await Gachix.create({
      daemonSocket: corpus.store.socket,
      settings: `trust: { public_keys: ["${publicKey}"] }\n`,
      env: mesh,
    })
    const giving = await origin.serve(mesh)
    const taking = await peer.serve()
    const { addresses } = JSON.parse(await origin.run(['peer', 'id', '--json'])) as { addresses: string[] }
    await peer.run(['peer', 'add', addresses[0]!])
    /** Pulls a generation. @returns its NAR bytes, and the bytes that came from the peer for it, questions and all */
    const pull = async (name: 'A' | 'B') => {
      const received = async () => {
        const [{ bytesIn }] = JSON.parse(await peer.run(['peer', 'list', '--json'])) as [{ bytesIn: number }]
        return bytesIn
      }
      const before = await received()
      const { bytes } = JSON.parse(await peer.run(['sync', corpus.systems[name], '--json'])) as {
        bytes: number
      }
      return { bytes, received: (await received()) - before }
    }
    const first = await pull('A')
    const second = await pull('B')
    await taking.stop()
    await giving.stop()
    await fsck(peer.repository)
    const [zstd, git] = others
    t.diagnostic(`A: ${mb(first.bytes)} of NARs by ${mb(first.received)} from the peer`)
    t.diagnostic(
      `B after A: ${mb(second.bytes)} of NARs by ${mb(second.received)}; zstd NARs ${mb(zstd)}, git fetch ${mb(git)}`,
    )
    assert.ok(second.received < zstd, 'less than the zstd NARs')
    assert.ok(second.received < git, 'less than git fetch')
  })
})
