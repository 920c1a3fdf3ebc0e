/** What libraries leave behind when a peer vanishes does not end a node; a fault of which nothing is known does. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Gachix } from '../support/gachix.ts'
import { until } from '../support/process.ts'

/** Runs in the node: what happens once it is told to go on. */
const nodeThat = (does: string) =>
  Gachix.create({
    nodeFlags: [
      '--import',
      `data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', () => { ${does} })`)}`,
    ],
  })

const SURVIVED: [string, string][] = [
  ['a promise fails that nobody waits for', `Promise.reject(new Error('left behind'))`],
  [
    'the network library throws where nobody catches',
    `queueMicrotask(() => { throw Object.assign(new Error('left behind'), { name: 'StreamStateError' }) })`,
  ],
]
for (const [what, does] of SURVIVED) {
  test(`a node goes on when ${what}, and says so`, async () => {
    await using gachix = await nodeThat(does)
    const node = await gachix.serve()
    node.child.kill('SIGUSR2')
    await until(
      () => `the log to tell of it: ${node.output()}`,
      async () => /going on: left behind/.test(node.output()) || undefined,
    )
    assert.equal((await fetch(`${node.url}/nix-cache-info`)).status, 200)
    await node.stop()
    assert.equal(node.child.exitCode, 0)
  })
}

test('a node ends when anything else is thrown, and says what it was', async () => {
  await using gachix = await nodeThat(`queueMicrotask(() => { throw new Error('a fault of ours') })`)
  const node = await gachix.serve()
  const closed = once(node.child, 'close')
  node.child.kill('SIGUSR2')
  assert.deepEqual(await closed, [1, null])
  assert.match(node.output(), /unexpected failure, ending: a fault of ours/)
})
