import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from '../../support/process.ts'

test('V8 knows the flags that keep the heap of a node as it is', async () => {
  const options = (await run(process.execPath, ['--v8-options'])).toString()
  for (const flag of ['gc-memory-reducer-start-delay-ms', 'heap-growing-percent'])
    assert.match(options, new RegExp(`^ *--${flag} `, 'm'))
})
