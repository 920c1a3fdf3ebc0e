/** Misses that are served out of other repositories: over real HTTP, from sources that serve, stall, lie and are gone. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createHttpServer } from '../../../src/http/server.ts'
import { formatHash } from '../../../src/nix/hash.ts'
import { parseNarInfo } from '../../../src/nix/narinfo.ts'
import { SecretKey, verify } from '../../../src/nix/signature.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { silentLogger } from '../../../src/util/log.ts'
import { noise } from '../../support/git-fixture.ts'
import { eventually } from '../../support/mesh-node.ts'
import { directory, file, makePackage } from '../../support/packages.ts'
import { publishTo, Replica, type ReplicaSource, TEAM_KEY, WatchedSource } from '../../support/replica.ts'

const NODE_KEY = SecretKey.generate('node.test-1')
const LIBRARY = makePackage('library', directory({ lib: file(noise(300_000, 5)) }))
const PROGRAM = makePackage('program', directory({ bin: file('program\n', true) }), ['library'])
const PATH = PROGRAM.info.storePath
const ABSENT = '0'.repeat(32)
/** The longest that a client may wait for a 404, in milliseconds; the rest is what a loaded machine takes. */
const PATIENCE = 2_500 + 1_500

let folder: string
const at = (name: string) => join(folder, name)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-on-demand-'))
  await publishTo(at('origin'), [LIBRARY, PROGRAM])
  await publishTo(at('unsigned'), [LIBRARY, PROGRAM], null)
})
after(() => rm(folder, { recursive: true, force: true }))

interface Answer {
  readonly status: number
  readonly body: Buffer
  readonly milliseconds: number
}

async function serve(t: TestContext, sources: readonly ReplicaSource[]) {
  const replica = await Replica.open(sources)
  t.after(() => replica.close())
  const server = createHttpServer({
    store: replica.store,
    onDemand: replica.onDemand,
    keys: [NODE_KEY],
    settings: { host: '127.0.0.1', port: 0, priority: 30, wantMassQuery: true, maxTransfers: 64 },
    logger: silentLogger,
    version: '1',
  })
  await server.start()
  t.after(() => server.stop())
  const get = async (path: string): Promise<Answer> => {
    const started = performance.now()
    const response = await fetch(`${server.url}/${path}`, { headers: { 'Accept-Encoding': 'identity' } })
    const body = Buffer.from(await response.arrayBuffer())
    return { status: response.status, body, milliseconds: performance.now() - started }
  }
  return { replica, get, narinfo: () => get(`${PATH.hash}.narinfo`) }
}

describe('many packages that are asked for at once', () => {
  test('are asked for together at a source that is far away', async (t) => {
    const many = Array.from({ length: 40 }, (_, i) => makePackage(`leaf-${i}`, file(`leaf ${i}\n`)))
    await publishTo(at('many'), many)
    const source = new WatchedSource('many', at('many'))
    source.faults.pack = async function* (chunks) {
      await delay(300)
      yield* chunks
    }
    const { get } = await serve(t, [{ source }])
    const answers = await Promise.all(many.map(({ info }) => get(`${info.storePath.hash}.narinfo`)))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    const asked = source.requests.findIndex(({ wants }) => wants.length > 30)
    assert.ok(
      asked >= 0 && asked < 4,
      `asked for ${source.requests.map(({ wants }) => wants.length)} at a time`,
    )
  })
})

describe('a package that a source has', () => {
  test('is named at once by its verified facts, and its NAR is served once it is proven', async (t) => {
    const source = new WatchedSource('origin', at('origin'))
    const { replica, get, narinfo } = await serve(t, [{ source }])
    const { status, body } = await narinfo()
    assert.equal(status, 200)
    const info = parseNarInfo(body.toString())
    assert.equal(info.storePath.toString(), PATH.toString())
    assert.deepEqual(verify([TEAM_KEY.publicKey, NODE_KEY.publicKey], info), ['team.test-1', 'node.test-1'])
    const nar = await get(info.url)
    assert.equal(nar.status, 200)
    assert.ok(nar.body.equals(PROGRAM.nar))
    assert.ok(replica.store.hasClosure(LIBRARY.info.storePath.hash), 'its closure came with it')
    // The URL goes on working, and the package is one like any other now.
    assert.ok((await get(info.url)).body.equals(PROGRAM.nar))
    assert.match(parseNarInfo((await narinfo()).body.toString()).url, /^nar\/[0-9a-f]{40}\./)
  })

  test('is fetched by the NAR request, when the node was started anew after it was named', async (t) => {
    const source = new WatchedSource('origin', at('origin'))
    const { get } = await serve(t, [{ source }])
    const hash = formatHash(PROGRAM.info.narHash, 'nix32').slice('sha256:'.length)
    const { status, body } = await get(`nar/${PATH.hash}-${hash}.nar`)
    assert.equal(status, 200)
    assert.ok(body.equals(PROGRAM.nar))
    const other = formatHash(LIBRARY.info.narHash, 'nix32').slice('sha256:'.length)
    assert.equal((await get(`nar/${PATH.hash}-${other}.nar`)).status, 404, 'another NAR under this path')
  })

  test('that nobody has signed is not named before it is proven', async (t) => {
    const source = new WatchedSource('unsigned', at('unsigned'))
    const { narinfo } = await serve(t, [{ source, trust: { requireSignatures: false } }])
    const { status, body } = await narinfo()
    assert.equal(status, 200)
    assert.match(parseNarInfo(body.toString()).url, /^nar\/[0-9a-f]{40}\./)
  })

  test('is fetched once, however many ask for it', async (t) => {
    const source = new WatchedSource('origin', at('origin'))
    const { narinfo, get } = await serve(t, [{ source }])
    const answers = await Promise.all(Array.from({ length: 12 }, narinfo))
    assert.ok(answers.every(({ status }) => status === 200))
    const { url } = parseNarInfo(answers[0]!.body.toString())
    await Promise.all(Array.from({ length: 12 }, () => get(url)))
    assert.equal(new Set(source.wants).size, source.wants.length)
  })
})

describe('a miss is a quick 404', () => {
  test('when no source has the package, and the next one costs no question', async (t) => {
    const source = new WatchedSource('origin', at('origin'))
    const { get } = await serve(t, [{ source }])
    assert.equal((await get(`${ABSENT}.narinfo`)).status, 404)
    const { questions } = source
    assert.equal((await get(`${ABSENT}.narinfo`)).status, 404)
    assert.equal(source.questions, questions)
  })

  test('when the package is not trusted', async (t) => {
    const source = new WatchedSource('unsigned', at('unsigned'))
    const { narinfo, replica } = await serve(t, [{ source }])
    assert.equal((await narinfo()).status, 404)
    assert.equal(replica.store.size, 0)
  })

  test('when the source cannot be reached; it is left alone after three times', async (t) => {
    const source = new WatchedSource('down', at('origin'))
    source.faults.unreachable = new GachixError('ERR_DOWN', 'nobody is there')
    const { get, replica } = await serve(t, [{ source }])
    for (const digit of ['1', '2', '3', '4', '5']) {
      assert.equal((await get(`${digit.repeat(32)}.narinfo`)).status, 404)
    }
    const { failures, state, lastError } = replica.links[0]!.health.snapshot
    assert.deepEqual([failures, state, lastError?.code], [3, 'failing', 'ERR_DOWN'])
  })

  test('when the source never answers', async (t) => {
    const source = new WatchedSource('silent', at('origin'))
    source.open = () => new Promise(() => {})
    const { narinfo, replica } = await serve(t, [{ source }])
    const { status, milliseconds } = await narinfo()
    assert.equal(status, 404)
    assert.ok(milliseconds < PATIENCE, `${milliseconds} ms`)
    // What asks the source gives up a moment after the client has its answer.
    const lastCode = () => replica.links[0]!.health.snapshot.lastError?.code
    await eventually('the failure is noted', () => lastCode() !== undefined)
    assert.equal(lastCode(), 'ERR_SOURCE_TIMEOUT')
  })

  test('when the contents stop coming, and when they trickle', async (t) => {
    for (const trickle of [false, true]) {
      const source = new WatchedSource('slow', at('origin'))
      source.faults.pack = async function* (chunks, { omitBlobs, haves, wants }) {
        const isContents = omitBlobs || haves.length > 0 || wants.length > 1
        for await (const chunk of chunks) {
          for (let i = 0; i < chunk.length; i++) {
            if (!isContents) continue
            await delay(trickle ? 100 : 60_000, undefined, { ref: false })
            yield chunk.subarray(i, i + 1)
          }
          if (!isContents) yield chunk
        }
      }
      const { narinfo, get, replica } = await serve(t, [{ source }])
      const named = await narinfo()
      assert.equal(named.status, 200)
      const { status, milliseconds } = await get(parseNarInfo(named.body.toString()).url)
      assert.equal(status, 404)
      assert.ok(milliseconds < PATIENCE, `${milliseconds} ms`)
      assert.equal(replica.store.size, 0)
    }
  })

  test('when the contents are not what was signed', async (t) => {
    const source = new WatchedSource('liar', at('origin'))
    let lies = 0
    source.faults.pack = async function* (chunks) {
      for await (const chunk of chunks) {
        // Only the library's contents are as large.
        if (chunk.length > 50_000) chunk[chunk.length >> 1]! ^= ++lies
        yield chunk
      }
    }
    const { narinfo, get, replica } = await serve(t, [{ source }])
    const named = await narinfo()
    const { status } = await get(parseNarInfo(named.body.toString()).url)
    assert.ok(lies > 0)
    assert.equal(status, 404)
    assert.equal(replica.store.has(PATH.hash), false)
  })

  test('and the next source gives what the first one failed to', async (t) => {
    const broken = new WatchedSource('broken', at('origin'))
    broken.faults.pack = async function* (chunks, { omitBlobs }) {
      if (omitBlobs) throw new GachixError('ERR_CUT', 'the connection broke')
      yield* chunks
    }
    const source = new WatchedSource('origin', at('origin'))
    const { narinfo, get } = await serve(t, [{ source: broken }, { source }])
    const { url } = parseNarInfo((await narinfo()).body.toString())
    const { status, body } = await get(url)
    assert.equal(status, 200)
    assert.ok(body.equals(PROGRAM.nar))
  })
})
