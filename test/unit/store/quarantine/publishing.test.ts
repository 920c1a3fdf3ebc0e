/** What a batch is published from goes, and what it is published to comes: the next batch, under way, sees neither. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { noise } from '../../../support/git-fixture.ts'
import { directory, file, makePackage } from '../../../support/packages.ts'
import { ROOMY, Sender, sent, storeFor } from '../../../support/quarantine.ts'

const PACKAGES = Array.from({ length: 4 }, (_, number) =>
  makePackage(
    `package-${number}`,
    directory({
      lib: directory({ data: file(noise(50_000, number)), text: file(`text ${number}\n`) }),
      version: file(`${number}\n`),
    }),
    number === 0 ? [] : [`package-${number - 1}`],
  ),
)

describe('publishing', () => {
  it('hides no object that was there, at any moment', async (t) => {
    const sender = await Sender.of(t, PACKAGES)
    const store = await storeFor(t)
    const quarantine = await store.quarantine('a peer')
    const commits = await sender.commits(PACKAGES)
    const oids = (await sender.line(['rev-list', '--objects', '--no-object-names', ...commits])).split('\n')
    await quarantine.receive(sent(await sender.pack(commits)), ROOMY)
    for (const each of PACKAGES) await quarantine.admit(each.info, await sender.commit(each))

    let published = false
    const publishing = quarantine.publish().finally(() => {
      published = true
    })
    const tree = await sender.line(['rev-parse', `${commits.at(-1)}^{tree}:lib`])
    let looks = 0
    while (!published) {
      const hidden = oids.filter((oid) => !quarantine.has(oid))
      assert.deepEqual(hidden, [], `after ${looks} looks`)
      const [one, other] = await Promise.all([
        quarantine.read(tree, { maxSize: 1000 }),
        quarantine.read(tree, { maxSize: 1000 }),
      ])
      assert.ok(one.data.equals(other.data))
      looks++
      await setImmediate()
    }
    await publishing
    assert.ok(looks > 3, `${looks} looks`)
    assert.deepEqual(
      oids.filter((oid) => !quarantine.has(oid)),
      [],
    )
    await quarantine.close()
  })
})
