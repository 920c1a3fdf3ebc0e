import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { release } from '../../../src/util/release.ts'

const KIBIBYTE = 1024

describe('release', () => {
  it('gives the memory back, whatever part of it is named', () => {
    const buffer = Buffer.allocUnsafeSlow(64 * KIBIBYTE)
    const part = buffer.subarray(10, 20)
    const { arrayBuffers } = process.memoryUsage()
    release(part)
    assert.equal(buffer.length, 0)
    assert.equal(part.length, 0)
    assert.equal(process.memoryUsage().arrayBuffers, arrayBuffers - 64 * KIBIBYTE)
    release(part)
  })

  it('leaves what is shared, and the memory that Node cuts small buffers from', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(64 * KIBIBYTE))
    release(shared)
    assert.equal(shared.length, 64 * KIBIBYTE)
    const small = Buffer.allocUnsafe(10)
    const neighbour = Buffer.allocUnsafe(10)
    assert.equal(small.buffer, neighbour.buffer)
    release(small)
    assert.equal(neighbour.length, 10)
  })
})
