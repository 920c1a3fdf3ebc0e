/** Pulling closures between real repositories, from sources that serve, fail, lie and overlap. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { SecretKey } from '../../../src/nix/signature.ts'
import type { SyncEvent } from '../../../src/store/sync-event.ts'
import { mirror } from '../../../src/sync/pull/mirror.ts'
import { RepositoryLink } from '../../../src/sync/source/repository-link.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { collect } from '../../support/collect.ts'
import { fsck } from '../../support/gachix.ts'
import { noise } from '../../support/git-fixture.ts'
import { directory, file, type MadePackage, makePackage, sampleClosure } from '../../support/packages.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const SHARED = file(noise(200_000, 3))
const CLOSURE = [
  ...sampleClosure(),
  makePackage('data', directory({ shared: SHARED, own: file('version 1\n') }), ['libc']),
  makePackage('app', directory({ bin: directory({ app: file('#!/bin/sh\n', true) }) }), ['data', 'large']),
]
const APP = hashOf('app')
/** Other paths with mostly the same files, as after a mass rebuild. */
const REBUILT = [
  makePackage('data-2', directory({ shared: SHARED, own: file('version 2\n') })),
  makePackage('app-2', directory({ bin: directory({ app: file('#!/bin/sh\n', true) }) }), ['data-2']),
]

/** Packages of some files each. */
const MANY = Array.from({ length: 6 }, (_, number) =>
  makePackage(
    `many-${number}`,
    directory(
      Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, file(noise(500, number * 100 + i))])),
    ),
    number === 0 ? [] : [`many-${number - 1}`],
  ),
)

/** The same paths with other contents, as of a builder that is not reproducible. */
const OTHERS = MANY.map((_, number) =>
  makePackage(
    `many-${number}`,
    directory({ other: file(noise(500, 7 + number)) }),
    number === 0 ? [] : [`many-${number - 1}`],
  ),
)

let folder: string
const at = (name: string) => join(folder, name)

function hashOf(name: string): string {
  return makePackage(name, directory({})).info.storePath.hash
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-puller-'))
  await publishTo(at('origin'), [...CLOSURE, ...REBUILT])
  await publishTo(at('many'), MANY)
  await publishTo(at('others'), OTHERS)
  await publishTo(at('unsigned'), CLOSURE, null)
  await publishTo(at('stranger'), CLOSURE, SecretKey.generate('stranger-1'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function assertHas(replica: Replica, packages: readonly MadePackage[]): Promise<void> {
  for (const { info, nar } of packages) {
    assert.ok(replica.store.hasClosure(info.storePath.hash), `${info.storePath.name} is here`)
    assert.ok(nar.equals(await collect(replica.store.nar(info))), `${info.storePath.name} is the same`)
  }
}

const code = (expected: string) => (error: unknown) => error instanceof GachixError && error.code === expected

describe('a pull', () => {
  test('brings a closure, proven and complete, and nothing a second time', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    const events: SyncEvent[] = []
    const result = await replica.puller.pull([APP], { onEvent: (event) => events.push(event) })
    assert.equal(result.added, CLOSURE.length)
    assert.deepEqual(result.sources, { origin: CLOSURE.length })
    assert.ok(result.received > 0)
    await assertHas(replica, CLOSURE)
    assert.equal(new Set(source.wants).size, source.wants.length, 'nothing was wanted twice')
    assert.equal(events.filter(({ type }) => type === 'package').length, CLOSURE.length)
    assert.deepEqual(
      events.find(({ type }) => type === 'closure'),
      {
        type: 'closure',
        paths: CLOSURE.length,
        missing: CLOSURE.length,
        bytes: result.bytes,
        missingBytes: result.bytes,
      },
    )
    const asked = source.requests.length
    assert.equal((await replica.puller.pull([APP])).added, 0)
    assert.equal(source.requests.length, asked, 'a closure that is here costs no request')
    await fsck(replica.store.gitDir)
  })

  test('costs a handful of round trips, not one a package', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    await replica.puller.pull([APP])
    // Questions and narinfos for each distance from the root, then trees, then blobs.
    assert.ok(source.questions <= 5, `${source.questions} questions`)
    assert.ok(source.requests.length <= source.questions + 2, `${source.requests.length} requests`)
  })

  test('transfers of a rebuild only what is missing', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    await replica.puller.pull([APP])
    const before = source.requests.length
    const { added, received } = await replica.puller.pull([hashOf('app-2')])
    assert.equal(added, 2)
    const blobs = source.requests
      .slice(before)
      .filter(({ haves, omitBlobs }) => !omitBlobs && haves.length === 0)
    // Two narinfos, one for each distance from the root; and the one file that differs.
    assert.equal(blobs.flatMap(({ wants }) => wants).length, 3)
    assert.ok(received < 10_000, `${received} bytes`)
    await assertHas(replica, REBUILT)
  })

  test('refuses what no trusted key has signed, and what is signed wrongly', async () => {
    for (const [name, reason] of [
      ['unsigned', /libc.*unsigned.*not signed|app.*unsigned.*not signed/],
      ['stranger', /signed by stranger-1, none of which is trusted/],
    ] as const) {
      const source = new WatchedSource(name, at(name))
      await using replica = await Replica.open([{ source }])
      await assert.rejects(replica.puller.pull([APP]), (error: Error) => {
        assert.match(error.message, reason)
        return code('ERR_UNTRUSTED')(error)
      })
      assert.equal(replica.store.size, 0)
      // Nothing but narinfos was fetched.
      assert.ok(source.requests.every(({ omitBlobs }) => omitBlobs === undefined))
    }
  })

  test('believes a source that needs no signatures, and signs what it says', async () => {
    const source = new WatchedSource('unsigned', at('unsigned'))
    await using replica = await Replica.open([{ source, trust: { requireSignatures: false } }])
    await replica.puller.pull([APP])
    await assertHas(replica, CLOSURE)
    const info = await replica.store.pathInfo(APP)
    assert.match(info!.signatures.join(), /^replica\.test-1:/)
  })

  test('goes on where it was broken off', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    let blobs = 0
    source.faults.pack = async function* (chunks, { omitBlobs, wants }) {
      const cut = omitBlobs === undefined && wants.length > 10 && blobs++ === 0
      let sent = 0
      for await (const chunk of chunks) {
        if (cut && sent > 100_000) throw new GachixError('ERR_CUT', 'the connection broke')
        sent += chunk.length
        yield chunk
      }
    }
    await assert.rejects(replica.puller.pull([APP]), code('ERR_CUT'))
    const first = source.requests.at(-1)!.wants.length
    source.requests.length = 0
    await replica.puller.pull([APP])
    const last = source.requests.at(-1)!
    assert.ok(last.wants.length < first, `${last.wants.length} of ${first} blobs were wanted again`)
    await assertHas(replica, CLOSURE)
  })

  test('gives up when its signal fires', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    const abort = new AbortController()
    source.faults.pack = async function* (chunks) {
      abort.abort()
      yield* chunks
    }
    await assert.rejects(replica.puller.pull([APP], { signal: abort.signal }), code('ERR_ABORTED'))
    assert.equal(replica.store.size, 0)
  })

  test('says who was asked when nobody has a package', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    const missing = '0'.repeat(32)
    await assert.rejects(replica.puller.pull([missing]), (error: Error) => {
      assert.match(error.message, /0{32} is in none of the sources \(origin\)/)
      return code('ERR_PACKAGE_UNAVAILABLE')(error)
    })
  })
})

describe('several sources', () => {
  test('one that cannot be reached is left out', async () => {
    const down = new WatchedSource('down', at('origin'))
    down.faults.unreachable = new GachixError('ERR_DOWN', 'nobody is there')
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source: down }, { source }])
    const events: SyncEvent[] = []
    const { sources } = await replica.puller.pull([APP], { onEvent: (event) => events.push(event) })
    assert.deepEqual(sources, { origin: CLOSURE.length })
    const failed = {
      type: 'source-failed',
      source: 'down',
      code: 'ERR_DOWN',
      message: 'down: nobody is there',
    }
    assert.deepEqual(
      events.filter(({ type }) => type === 'source-failed'),
      [failed],
    )
    assert.equal(replica.links[0]!.health.snapshot.lastError?.code, 'ERR_DOWN')
  })

  test('one that breaks off is replaced by another, which sends only the rest', async () => {
    const broken = new WatchedSource('broken', at('origin'))
    broken.faults.pack = async function* (chunks, { wants }) {
      if (wants.length > 10) throw new GachixError('ERR_CUT', 'the connection broke')
      yield* chunks
    }
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source: broken, kind: 'peer' }, { source }])
    const { sources } = await replica.puller.pull([APP])
    assert.deepEqual(sources, { origin: CLOSURE.length })
    await assertHas(replica, CLOSURE)
  })

  test('one whose packages are not trusted does not keep another from giving them', async () => {
    const stranger = new WatchedSource('stranger', at('stranger'))
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source: stranger }, { source }])
    const { sources } = await replica.puller.pull([APP])
    assert.deepEqual(sources, { origin: CLOSURE.length })
  })

  const givers = (names: readonly string[], patience = 0) =>
    names.map((name) => {
      const source = new WatchedSource(name, at('many'))
      source.faults.pack = async function* (chunks, { wants }) {
        if (wants.length > 10) await delay(patience)
        yield* chunks
      }
      return source
    })
  const wantsOf = ({ requests }: WatchedSource) => requests.filter(({ wants }) => wants.length > 10)

  test('share the blobs of a closure that all of them have, when they are slow', async () => {
    const peers = givers(['p1', 'p2', 'p3'], 1500)
    await using replica = await Replica.open(peers.map((source) => ({ source, kind: 'peer' as const })))
    await replica.puller.pull([hashOf('many-5')])
    const blobs = peers.map((peer) => wantsOf(peer).length)
    assert.ok(
      blobs.every((count) => count > 0),
      `requests for blobs: ${blobs}`,
    )
    const wants = peers.flatMap((peer) => wantsOf(peer).flatMap((request) => request.wants))
    assert.equal(new Set(wants).size, wants.length, 'no blob was fetched twice')
    await assertHas(replica, MANY)
  })

  test('are not bothered when one of them is quick', async () => {
    const peers = givers(['p1', 'p2', 'p3'])
    await using replica = await Replica.open(peers.map((source) => ({ source, kind: 'peer' as const })))
    await replica.puller.pull([hashOf('many-5')])
    assert.equal(peers.filter((peer) => wantsOf(peer).length > 0).length, 1)
    // Peers tell what they have: the others are not asked for path infos, and at the most whether they could help.
    const questions = peers.map((peer) => peer.questions)
    const asked = questions.indexOf(Math.max(...questions))
    assert.ok(questions[asked]! >= MANY.length, `questions: ${questions}`)
    assert.ok(
      questions.every((count, i) => i === asked || count <= 1),
      `questions: ${questions}`,
    )
    for (const [i, peer] of peers.entries()) if (i !== asked) assert.deepEqual(peer.requests, [])
    await assertHas(replica, MANY)
  })

  test('are asked in turn, about what the ones before could not give', async () => {
    const down = new WatchedSource('down', at('origin'))
    down.faults.unreachable = new GachixError('ERR_DOWN', 'nobody is there')
    const stranger = new WatchedSource('stranger', at('stranger'))
    const source = new WatchedSource('origin', at('origin'))
    const peers = [down, stranger, source].map((each) => ({ source: each, kind: 'peer' as const }))
    await using replica = await Replica.open(peers)
    const { sources } = await replica.puller.pull([APP])
    assert.deepEqual(sources, { origin: CLOSURE.length })
    await assertHas(replica, CLOSURE)
  })

  /** A slow peer, and one that has other contents under the same names. */
  const slowAndOther = () => {
    const [slow] = givers(['p1'], 1500)
    const other = new WatchedSource('p2', at('others'))
    return { other, peers: [slow!, other].map((source) => ({ source, kind: 'peer' as const })) }
  }

  test('do not help with packages whose contents are others, and are not blamed for that', async () => {
    const { other, peers } = slowAndOther()
    await using replica = await Replica.open(peers)
    await replica.puller.pull([hashOf('many-5')])
    assert.equal(other.questions, 1)
    assert.deepEqual(other.requests, [])
    assert.ok(replica.verdicts.every(([name]) => name === 'p1'))
    await assertHas(replica, MANY)
  })

  test('the last one that has a closure may take its time, whoever says that they have it as well', async () => {
    await using replica = await Replica.open(slowAndOther().peers)
    const { sources } = await replica.puller.pull([hashOf('many-5')], { patience: 300 })
    assert.deepEqual(sources, { p1: MANY.length })
  })
})

describe('a mirror', () => {
  test('brings what is wanted by name, with what that refers to, and leaves the rest', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    const [link] = replica.links
    assert.ok(link instanceof RepositoryLink)
    const wanted = ({ storePath }: PathInfo) => storePath.name.startsWith('data')
    const { added, skipped } = await mirror(replica.store, replica.puller, link, { wanted })
    assert.deepEqual([added, skipped], [3, 0])
    await assertHas(
      replica,
      [...CLOSURE, ...REBUILT].filter(({ info }) => ['data', 'data-2', 'libc'].includes(info.storePath.name)),
    )
    const all = await mirror(replica.store, replica.puller, link)
    assert.equal(all.added + all.present, CLOSURE.length + REBUILT.length)
  })

  test('leaves out what may not be trusted, and says so', async () => {
    const source = new WatchedSource('unsigned', at('unsigned'))
    await using replica = await Replica.open([{ source }])
    const events: SyncEvent[] = []
    const { added, skipped } = await mirror(
      replica.store,
      replica.puller,
      replica.links[0] as RepositoryLink,
      { onEvent: (event) => events.push(event) },
    )
    assert.deepEqual([added, skipped], [0, CLOSURE.length])
    assert.equal(events.filter(({ type }) => type === 'skipped').length, CLOSURE.length)
    assert.equal(replica.store.size, 0)
  })
})

describe('two pulls at once', () => {
  test('of overlapping closures fetch each object once', async () => {
    const source = new WatchedSource('origin', at('origin'))
    await using replica = await Replica.open([{ source }])
    const results = await Promise.all([
      replica.puller.pull([APP]),
      replica.puller.pull([hashOf('large')]),
      replica.puller.pull([hashOf('app-2')]),
      replica.puller.pull([APP]),
    ])
    const added = results.reduce((sum, result) => sum + result.added, 0)
    assert.equal(added, CLOSURE.length + REBUILT.length)
    const contents = source.requests.filter(({ haves, omitBlobs }) => omitBlobs || haves.length === 0)
    const wants = contents.flatMap((request) => request.wants)
    assert.equal(new Set(wants).size, wants.length, 'each object was wanted once')
    await assertHas(replica, [...CLOSURE, ...REBUILT])
  })
})
