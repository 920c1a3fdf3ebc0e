import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MAX_CACHE_INFO_SIZE, parseCacheInfo } from '../../../src/nix/cache-info.ts'

describe('nix-cache-info', () => {
  it('is read as Nix reads it', () => {
    assert.deepEqual(parseCacheInfo('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 40\n'), {
      storeDir: '/nix/store',
      wantMassQuery: true,
      priority: 40,
    })
    assert.deepEqual(parseCacheInfo(''), { wantMassQuery: false, priority: 0 })
    assert.deepEqual(
      parseCacheInfo('no colon\nOther: x:y\nWantMassQuery:true\r\nPriority:  -3\r\nStoreDir:/s'),
      {
        storeDir: '/s',
        wantMassQuery: false,
        priority: -3,
      },
    )
  })

  it('is refused where Nix would fail, or when it is too long', () => {
    for (const text of [
      'Priority: \n',
      'Priority: high',
      'Priority: 1e3',
      `x: ${'y'.repeat(MAX_CACHE_INFO_SIZE)}`,
    ]) {
      assert.throws(() => parseCacheInfo(text), { code: 'ERR_CACHE_INFO_INVALID' })
    }
  })
})
