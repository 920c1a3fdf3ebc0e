import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from '../../support/process.ts'

test('V8 knows the flag that keeps the heap of a node at rest', async () => {
  const options = (await run(process.execPath, ['--v8-options'])).toString()
  assert.match(options, /^ *--gc-memory-reducer-start-delay-ms /m)
})
