import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest } from '../../../src/config/nearest.ts'

describe('nearest', () => {
  const keys = ['log_level', 'store.path', 'store.store_dir', 'server.port', 'server.host']

  it('finds the key that was meant', () => {
    assert.equal(nearest('loglevel', keys), 'log_level')
    assert.equal(nearest('server.prot', keys), 'server.port')
    assert.equal(nearest('port', keys), 'server.port')
    assert.equal(nearest('SERVER.HOST', keys), 'server.host')
  })

  it('suggests nothing for what resembles nothing', () => {
    assert.equal(nearest('colour', keys), undefined)
    assert.equal(nearest('x'.repeat(100_000), keys), undefined)
  })
})

describe('editDistance', () => {
  it('is a metric', () => {
    const word = fc.string({ maxLength: 8 })
    fc.assert(
      fc.property(word, word, word, (a, b, c) => {
        assert.equal(editDistance(a, b), editDistance(b, a))
        assert.equal(editDistance(a, b) === 0, a === b)
        assert.ok(editDistance(a, c) <= editDistance(a, b) + editDistance(b, c))
      }),
    )
  })
})
