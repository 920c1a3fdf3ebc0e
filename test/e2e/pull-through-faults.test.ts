/**
 * Upstream caches that are down, unplugged, slow, broken or lie, behind a node: the client gets a quick 404, or the right
 * bytes out of the next cache, and never a 5xx or a part of a NAR; and nothing wrong is ever in the repository.
 */
import assert from 'node:assert/strict'
import { get } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { formatNarInfo, type NarInfo } from '../../src/nix/narinfo.ts'
import { SecretKey, sign } from '../../src/nix/signature.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import { fsck, Gachix, type GachixNode } from '../support/gachix.ts'
import { noise } from '../support/git-fixture.ts'
import { storePathOf } from '../support/memory-source.ts'
import { Network } from '../support/network.ts'
import { directory, file, type MadePackage, makePackage } from '../support/packages.ts'
import { freePort } from '../support/process.ts'
import { type Answer, type ServedFile, startUpstream } from '../support/upstream-server.ts'

const KEY = SecretKey.generate('team.test-1')
const CACHE_INFO = { '/nix-cache-info': { body: 'StoreDir: /nix/store\nPriority: 40\n' } }
/** Milliseconds until a client must have its 404: 2,500, and as much again for a loaded machine. */
const PATIENCE = 5_000

type Files = Record<string, ServedFile | Answer>

interface Fault {
  readonly name: string
  readonly made: MadePackage
  /** What the bad cache has of it. */
  readonly files: Files
  /** Whether the narinfo is one that a node has to refuse by itself. */
  readonly named: boolean
}

/** What an honest cache has of a package; `changes` are made to the narinfo before or after it is signed. */
function served(
  { info, nar }: MadePackage,
  changes: { before?: Partial<NarInfo>; after?: Partial<NarInfo>; nar?: ServedFile | Answer } = {},
): Files {
  const { hash } = info.storePath
  const narInfo: NarInfo = { ...info, url: `nar/${hash}.nar`, compression: 'none', ...changes.before }
  const signed = { ...narInfo, signatures: [sign(KEY, narInfo)], ...changes.after }
  return {
    [`/${hash}.narinfo`]: { body: formatNarInfo(signed) },
    [`/nar/${hash}.nar`]: changes.nar ?? { body: nar },
  }
}

/** Sends a byte of a file now and then. */
function trickling(body: Uint8Array): Answer {
  return (_request, response) => {
    let sent = 0
    response.writeHead(200)
    const timer = setInterval(() => response.write(body.subarray(sent, ++sent)), 200)
    response.on('close', () => clearInterval(timer))
    return undefined
  }
}
const silent: Answer = () => undefined
const hashOf = (text: string) => makePackage('hash', file(text)).info.narHash

function faults(): Fault[] {
  const list: Fault[] = []
  const add = (name: string, named: boolean, files: (made: MadePackage) => Files) => {
    const made = makePackage(`fault-${list.length}`, directory({ data: file(noise(200_000, list.length)) }))
    list.push({ name, made, named, files: files(made) })
  }
  const narinfo = (made: MadePackage, answer: ServedFile | Answer): Files => ({
    ...served(made),
    [`/${made.info.storePath.hash}.narinfo`]: answer,
  })
  add('a wrong signature', false, (made) =>
    served(made, { after: { signatures: [`team.test-1:${'A'.repeat(86)}==`] } }),
  )
  add('no signature', false, (made) => served(made, { after: { signatures: [] } }))
  add('a changed StorePath', false, (made) =>
    served(made, { after: { storePath: new StorePath(made.info.storePath.hash, 'renamed') } }),
  )
  add('the StorePath of another', false, (made) =>
    served(made, { before: { storePath: storePathOf('other') } }),
  )
  add('changed references', false, (made) => served(made, { after: { references: [storePathOf('other')] } }))
  add('a changed NarHash', false, (made) => served(made, { after: { narHash: hashOf('x') } }))
  add('a narinfo answered with 500', false, (made) => narinfo(made, { status: 500 }))
  add('a narinfo answered with 429', false, (made) => narinfo(made, { status: 429 }))
  add('a narinfo that redirects in a circle', false, (made) =>
    narinfo(made, { status: 302, headers: { Location: `/${made.info.storePath.hash}.narinfo` } }),
  )
  add('a narinfo that is none', false, (made) => narinfo(made, { body: '<html>' }))
  add('a signed NarHash of another NAR', true, (made) => served(made, { before: { narHash: hashOf('x') } }))
  add('a FileHash of another file', true, (made) => served(made, { before: { fileHash: hashOf('x') } }))
  add('a NAR that is changed', true, (made) => {
    const nar = Buffer.from(made.nar)
    nar[nar.length >> 1]! ^= 1
    return served(made, { nar: { body: nar } })
  })
  add('a NAR that is cut', true, (made) => served(made, { nar: { body: made.nar.subarray(0, 100_000) } }))
  add('a NAR that breaks off', true, (made) =>
    served(made, {
      nar: (_request, response) => {
        response.writeHead(200, { 'Content-Length': made.nar.length })
        response.write(made.nar.subarray(0, 100_000), () => response.destroy())
        return undefined
      },
    }),
  )
  add('a NAR answered with 404', true, (made) => served(made, { nar: { status: 404 } }))
  add('a NAR answered with 503', true, (made) => served(made, { nar: { status: 503 } }))
  add('a NAR that redirects in a circle', true, (made) =>
    served(made, { nar: { status: 302, headers: { Location: `/nar/${made.info.storePath.hash}.nar` } } }),
  )
  add('a narinfo that never comes', false, (made) => narinfo(made, silent))
  add('a narinfo that trickles', false, (made) =>
    narinfo(made, trickling(Buffer.from('StorePath: /nix/store/'.repeat(99)))),
  )
  add('a NAR that never comes', true, (made) => served(made, { nar: silent }))
  add('a NAR that trickles', true, (made) => served(made, { nar: trickling(made.nar) }))
  return list
}

const FAULTS = faults()

interface Reply {
  readonly status: number
  readonly body: Buffer
}

/** Asks, and holds the answer to what every client may expect: in time, never 5xx, never short. */
async function ask(url: string, patience = PATIENCE): Promise<Reply> {
  const started = performance.now()
  const reply = await new Promise<Reply>((resolve, reject) => {
    get(url, async (response) => {
      try {
        const body = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>))
        assert.ok(response.complete, `${url} is whole`)
        const length = response.headers['content-length']
        if (length !== undefined) assert.equal(body.length, Number(length), url)
        resolve({ status: response.statusCode!, body })
      } catch (error) {
        reject(error)
      }
    }).once('error', reject)
  })
  const took = performance.now() - started
  assert.ok([200, 404].includes(reply.status), `${url}: ${reply.status}`)
  assert.ok(reply.status === 200 || took < patience, `${url}: 404 after ${Math.round(took)} ms`)
  return reply
}

const narinfoUrl = (base: string, { info }: MadePackage) => `${base}/${info.storePath.hash}.narinfo`
const narUrl = (base: string, { body }: Reply) => `${base}/${/^URL: (.*)$/m.exec(body.toString())![1]}`

function settings(upstreams: readonly [name: string, url: string][]): string {
  const list = upstreams.map(([name, url]) => `    - { url: "${url}", name: ${name} }`)
  return [
    'store:',
    '  use_local_nix_daemon: false',
    '  upstreams:',
    ...list,
    'trust:',
    `  public_keys: ["${KEY.publicKey}"]`,
    '',
  ].join('\n')
}

/** Every package that is there is one of these, as it was made. @returns how many there are */
async function countGood(gachix: Gachix, node: GachixNode, all: readonly MadePackage[]): Promise<number> {
  const listed: { path: string }[] = JSON.parse(await gachix.run(['list', '--json']))
  for (const { path } of listed) {
    const made = all.find(({ info }) => info.storePath.toString() === path)
    assert.ok(made !== undefined, `${path} is none of ours`)
    const { body } = await ask(narinfoUrl(node.url, made))
    const tree = /^URL: nar\/([0-9a-f]{40})\./m.exec(body.toString())![1]
    assert.ok((await ask(`${node.url}/nar/${tree}.nar`)).body.equals(made.nar), `${path} is as it was made`)
  }
  await node.stop()
  await fsck(gachix.repository)
  return listed.length
}

describe('an upstream cache that misbehaves', () => {
  const stack = new AsyncDisposableStack()
  let bad: string
  let good: string

  before(async () => {
    bad = stack.use(
      await startUpstream(Object.assign({ ...CACHE_INFO }, ...FAULTS.map(({ files }) => files))),
    ).url
    good = stack.use(
      await startUpstream(Object.assign({ ...CACHE_INFO }, ...FAULTS.map(({ made }) => served(made)))),
    ).url
  })
  after(() => stack.disposeAsync())

  /** A question that the bad cache answers as it should, so that it is not left alone for what it did before. */
  let questions = 0
  const calm = (base: string) => ask(`${base}/${String(questions++).padStart(32, '0')}.narinfo`)

  test('alone makes clients go elsewhere, and quickly', async (t) => {
    await using gachix = await Gachix.create({ settings: settings([['bad', bad]]) })
    const node = await gachix.serve()
    for (const { name, made, named } of FAULTS) {
      await t.test(name, async () => {
        assert.equal((await calm(node.url)).status, 404)
        const narinfo = await ask(narinfoUrl(node.url, made))
        assert.equal(narinfo.status, named ? 200 : 404)
        if (named) assert.equal((await ask(narUrl(node.url, narinfo))).status, 404)
      })
    }
    const [source] = JSON.parse(await gachix.run(['status', '--json'])).sources
    assert.equal(source.packages, 0)
    assert.ok(source.failures > 5, `${source.failures} failures`)
    assert.match(source.lastError.code, /^ERR_(UPSTREAM|SOURCE)_/)
    assert.equal(await countGood(gachix, node, []), 0)
  })

  test('before a good one: the client gets the right bytes, or asks again', async (t) => {
    await using gachix = await Gachix.create({
      settings: settings([
        ['bad', bad],
        ['good', good],
      ]),
    })
    const node = await gachix.serve()
    for (const { name, made, named } of FAULTS) {
      await t.test(name, async () => {
        assert.equal((await calm(node.url)).status, 404)
        const narinfo = await ask(narinfoUrl(node.url, made))
        if (narinfo.status !== 200) return
        const nar = await ask(narUrl(node.url, narinfo))
        if (nar.status === 200) assert.ok(nar.body.equals(made.nar))
        const stalls = /never comes|trickles/.test(name)
        assert.ok(nar.status === 200 || named, 'what the bad cache does not name comes from the good one')
        assert.ok(nar.status === 200 || stalls || /signed NarHash/.test(name), `${nar.status}`)
      })
    }
    const all = FAULTS.map(({ made }) => made)
    const stalled = 2
    assert.ok((await countGood(gachix, node, all)) >= all.length - stalled)
  })
})

describe('an upstream cache on a host', () => {
  const made = makePackage('reachable', directory({ data: file(noise(300_000, 99)) }))
  const later = makePackage('later', file('later\n'))

  test('that is unplugged, and one that is gone', async () => {
    await using network = await Network.create()
    const host = await network.host('up')
    await using upstream = await Gachix.create({ host })
    const far = await upstream.serve()
    await using good = await startUpstream({ ...CACHE_INFO, ...served(made) })
    const gone = `http://127.0.0.1:${await freePort()}`
    await using gachix = await Gachix.create({
      settings: settings([
        ['far', far.url],
        ['gone', gone],
        ['good', good.url],
      ]),
    })
    const node = await gachix.serve()
    // A connection is there when the plug is pulled.
    assert.equal((await ask(narinfoUrl(node.url, later))).status, 404)
    await host.unplug()
    for (const digit of ['1', '2', '3', '4']) {
      assert.equal((await ask(`${node.url}/${digit.repeat(32)}.narinfo`)).status, 404)
    }
    const { sources } = JSON.parse(await gachix.run(['status', '--json']))
    assert.deepEqual(
      sources.map(({ name, state }: { name: string; state: string }) => [name, state]),
      [
        ['far', 'failing'],
        ['gone', 'failing'],
        ['good', 'ok'],
      ],
    )
    const narinfo = await ask(narinfoUrl(node.url, made))
    assert.equal(narinfo.status, 200)
    const nar = await ask(narUrl(node.url, narinfo))
    assert.ok(nar.body.equals(made.nar))
    assert.equal(await countGood(gachix, node, [made]), 1)
  })
})
