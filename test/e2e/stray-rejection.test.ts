/** A promise that fails without anybody waiting for it, as libraries leave some behind, does not end a node. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gachix } from '../support/gachix.ts'
import { until } from '../support/process.ts'

/** Runs in the node: once it is told to go on, a promise fails. */
const STRAY = `process.on('SIGUSR2', () => void Promise.reject(new Error('left behind by a library')))`

test('a node goes on when a promise fails that nobody waits for, and says so', async () => {
  await using gachix = await Gachix.create({
    nodeFlags: ['--import', `data:text/javascript,${encodeURIComponent(STRAY)}`],
  })
  const node = await gachix.serve()
  node.child.kill('SIGUSR2')
  await until(
    () => `the log to tell of it: ${node.output()}`,
    async () => /going on: left behind by a library/.test(node.output()) || undefined,
  )
  assert.equal((await fetch(`${node.url}/nix-cache-info`)).status, 200)
  await node.stop()
  assert.equal(node.child.exitCode, 0)
})
