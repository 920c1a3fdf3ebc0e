import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Heartbeat, SILENCE } from '../../../src/peers/mesh/heartbeat.ts'
import { silentLogger } from '../../../src/util/log.ts'

/** A heartbeat on a clock of its own, over peers that answer pings or not. */
function watched(answers: (peer: string) => boolean) {
  const abandoned: string[] = []
  const members = new Set(['peer'])
  let time = 0
  const heartbeat = new Heartbeat({
    swarm: {
      members,
      ping: async (peer) => {
        if (!answers(peer)) throw new Error('no answer')
        return 1
      },
      abandon: (peer) => abandoned.push(peer),
    },
    logger: silentLogger,
    now: () => time,
  })
  const pass = async (milliseconds: number, step = 2500): Promise<void> => {
    for (const end = time + milliseconds; time < end; ) {
      time += step
      heartbeat.look()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { heartbeat, members, abandoned, pass }
}

describe('the heartbeat', () => {
  test('gives up a peer that gives no sign', async () => {
    const { abandoned, pass } = watched(() => false)
    await pass(SILENCE)
    assert.deepEqual(abandoned, [])
    await pass(2500)
    assert.deepEqual(abandoned, ['peer'])
  })

  test('keeps one that answers pings, and one whose answers wait behind what it sends', async () => {
    const answering = watched(() => true)
    await answering.pass(10 * SILENCE)
    const sending = watched(() => false)
    for (let i = 0; i < 20; i++) {
      await sending.pass(5000)
      sending.heartbeat.heard('peer')
    }
    assert.deepEqual([...answering.abandoned, ...sending.abandoned], [])
  })

  test('blames nobody when this process stood still, and starts anew with one that came back', async () => {
    const { abandoned, members, pass } = watched(() => false)
    await pass(2500)
    await pass(60_000, 60_000)
    members.delete('peer')
    await pass(SILENCE)
    members.add('peer')
    await pass(SILENCE)
    assert.deepEqual(abandoned, [])
  })
})
