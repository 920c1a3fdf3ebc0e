/** Plans from sources that send narinfos by themselves: no pack is made of them, and one that is not what was announced counts for nothing. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { SentNarInfo } from '../../../src/store/api.ts'
import { TolerantPull } from '../../../src/sync/pull/tolerant-pull.ts'
import { file, makePackage, sampleClosure } from '../../support/packages.ts'
import { run } from '../../support/process.ts'
import { publishTo, Replica, WatchedSource } from '../../support/replica.ts'

const CLOSURE = sampleClosure()
const HASHES = CLOSURE.map(({ info }) => info.storePath.hash)
const ROOT = HASHES.at(-1)!

let folder: string
let repository: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gachix-narinfos-'))
  repository = join(folder, 'cache')
  await publishTo(repository, CLOSURE)
})
after(() => rm(folder, { recursive: true, force: true }))

async function narinfo(hash: string): Promise<SentNarInfo> {
  return { hash, blob: await run('git', ['-C', repository, 'cat-file', 'blob', `refs/${hash}/narinfo`]) }
}

/** A source that sends narinfos as the repository has them, changed by the test. */
function sending(change: (sent: SentNarInfo) => SentNarInfo | undefined = (sent) => sent): WatchedSource {
  const source = new WatchedSource('origin', repository)
  source.faults.narinfos = async function* (hashes) {
    for (const hash of hashes) {
      const sent = change(await narinfo(hash))
      if (sent !== undefined) yield sent
    }
  }
  return source
}

describe('narinfos that come by themselves', () => {
  test('are all that a plan takes: packs have commits, trees and files', async () => {
    const source = sending()
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    const { added } = await replica.puller.pull([ROOT])
    assert.equal(added, CLOSURE.length)
    const oids = await run('git', [
      ...['-C', repository, 'for-each-ref', '--format=%(objectname)', 'refs/*/narinfo'],
    ])
    const narinfos = oids.toString().trim().split('\n')
    assert.equal(narinfos.length, CLOSURE.length)
    assert.deepEqual(
      source.wants.filter((oid) => narinfos.includes(oid)),
      [],
    )
  })

  const UNSENT = { code: 'ERR_NARINFO_NOT_SENT', message: /announced and did not come/ }
  const changed = ({ hash, blob }: SentNarInfo) => ({
    hash,
    blob: Buffer.concat([blob, Buffer.from('Deriver: x.drv\n')]),
  })

  for (const [name, change] of [
    ['with another id than was announced', changed],
    ['left out', () => undefined],
    ['of another package in their place', ({ blob }: SentNarInfo) => ({ hash: HASHES[0]!, blob })],
  ] as const) {
    test(`${name}, they are as good as none, and the source is known for it`, async () => {
      const source = sending((sent) => (sent.hash === ROOT ? change(sent) : sent))
      await using replica = await Replica.open([{ source, kind: 'peer' }])
      await assert.rejects(replica.puller.pull([ROOT]), UNSENT)
      assert.deepEqual(replica.verdicts, [['origin', 'did not have it']])
      assert.equal(replica.store.hasClosure(ROOT), false)
    })
  }

  test('that were published between the two answers are asked for again', async () => {
    let isThere = false
    const source = sending((sent) => {
      if (sent.hash !== ROOT || isThere) return sent
      isThere = true
      return undefined
    })
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    const { added } = await replica.puller.pull([ROOT])
    assert.equal(added, CLOSURE.length)
    assert.deepEqual(
      replica.verdicts.filter(([, verdict]) => verdict !== 'delivered'),
      [],
    )
  })

  test('of many packages that are left out count against the source once', async () => {
    const source = sending(() => undefined)
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    await assert.rejects(replica.puller.pull(HASHES), UNSENT)
    assert.deepEqual(replica.verdicts, [['origin', 'did not have it']])
  })

  test('that cannot be sent do not matter where nothing is there', async () => {
    const source = sending()
    source.faults.narinfos = async function* () {
      yield* []
      throw new Error('too busy')
    }
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    const unknown = makePackage('unknown', file('x')).info.storePath.hash
    await assert.rejects(replica.puller.pull([unknown]), { code: 'ERR_PACKAGE_UNAVAILABLE' })
    await assert.rejects(replica.puller.pull([ROOT]), /too busy/)
  })

  test('that do not come for one package keep no other from coming, where many are pulled', async () => {
    const [lost] = HASHES
    const source = sending((sent) => (sent.hash === lost ? undefined : sent))
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    const skipped: string[] = []
    const pulling = new TolerantPull(replica.puller, {
      onEvent: (event) => {
        if (event.type === 'skipped') skipped.push(event.path)
      },
    })
    await pulling.pull(HASHES)
    const needLost = CLOSURE.filter(({ info }) => !replica.store.hasClosure(info.storePath.hash))
    assert.ok(needLost.length > 0 && needLost.length < CLOSURE.length)
    assert.deepEqual(skipped.toSorted(), needLost.map(({ info }) => info.storePath.hash).toSorted())
  })

  test('that nobody has signed who is trusted are refused as ever', async () => {
    const source = sending()
    await using replica = await Replica.open([{ source, kind: 'peer', trust: { publicKeys: [] } }])
    await assert.rejects(replica.puller.pull([ROOT]), { code: 'ERR_UNTRUSTED' })
  })

  test('longer than narinfos can be are not read to their end, and the source has lied', async () => {
    const padding = Buffer.from('x'.repeat(2 * 1024 * 1024 - 4096))
    let sent = 0
    const source = sending(({ hash }) => {
      sent++
      return { hash, blob: padding }
    })
    const narinfos = source.faults.narinfos!
    source.faults.narinfos = (hashes, options) =>
      narinfos(
        Array.from({ length: 100 }, () => hashes[0]!),
        options,
      )
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    await assert.rejects(replica.puller.pull([ROOT]), { code: 'ERR_BUDGET_EXCEEDED' })
    assert.ok(sent < 10, `${sent} were read`)
    assert.deepEqual(replica.verdicts, [['origin', 'lied']])
  })

  test('do not hide that the source could not say what it has', async () => {
    const source = sending()
    source.faults.packages = new Error('out of order')
    await using replica = await Replica.open([{ source, kind: 'peer' }])
    await assert.rejects(replica.puller.pull([ROOT]), /out of order/)
  })
})
