import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { SharePolicy, type ShareSetting } from '../../../src/peers/inventory/share-policy.ts'
import { type PathInfos, SharedClosures } from '../../../src/peers/mesh/shared-closures.ts'
import { WantScope } from '../../../src/peers/serve/scope.ts'
import { storePathOf } from '../../support/memory-source.ts'

/** Packages and what they refer to. */
function packages(references: Readonly<Record<string, readonly string[]>>) {
  const asked: string[] = []
  return {
    asked,
    pathInfo: async (hash: string): Promise<PathInfo | undefined> => {
      const found = Object.entries(references).find(([name]) => storePathOf(name).hash === hash)
      if (found === undefined) return undefined
      asked.push(found[0])
      return {
        storePath: storePathOf(found[0]),
        references: found[1].map(storePathOf),
      } as unknown as PathInfo
    },
  }
}

const hashOf = (name: string) => storePathOf(name).hash

class Filter extends SharedClosures {
  constructor(setting: ShareSetting, packages: PathInfos) {
    super(new SharePolicy(setting), packages)
  }

  async shares(hash: string): Promise<boolean> {
    return (await this.nameOf(hash)) !== undefined
  }
}

describe('what is shared', () => {
  it('is named by patterns, together with all that goes with it', async () => {
    const store = packages({
      'pub-a': ['pub-b', 'pub-c', 'pub-a'],
      'pub-b': ['pub-c'],
      'pub-c': [],
      'pub-leak': ['pub-c', 'pub-deep'],
      'pub-deep': ['private'],
      private: [],
      'pub-incomplete': ['gone'],
    })
    const filter = new Filter(['pub-*'], store)
    assert.equal(await filter.shares(hashOf('pub-a')), true)
    assert.equal(await filter.shares(hashOf('private')), false)
    assert.equal(await filter.shares(hashOf('pub-leak')), false)
    assert.equal(await filter.shares(hashOf('pub-deep')), false)
    assert.equal(await filter.shares(hashOf('pub-b')), true)
    assert.equal(await filter.shares(hashOf('gone')), false)
  })

  it('is decided once for a deep closure', async () => {
    const chain = Object.fromEntries(
      Array.from({ length: 3000 }, (_, i) => [`p${i}`, i === 0 ? [] : [`p${i - 1}`, `p${i >> 1}`]]),
    )
    const byHash = new Map(Object.keys(chain).map((name) => [hashOf(name), name]))
    let asked = 0
    const filter = new Filter(['p*'], {
      pathInfo: async (hash) => {
        asked++
        const name = byHash.get(hash)!
        return { storePath: storePathOf(name), references: chain[name]!.map(storePathOf) } as never
      },
    })
    assert.equal(await filter.shares(hashOf('p2999')), true)
    assert.ok(asked <= 2 * 3000)
    const before = asked
    assert.equal(await filter.shares(hashOf('p1500')), true)
    assert.ok(asked <= before + 1)
  })
})

describe('what a peer may want when not everything is shared', () => {
  const scope = () =>
    new WantScope({
      reaches: async (commits, oids) => commits.includes('commit') && oids.every((oid) => oid === 'blob'),
    })

  it('is what it was told of, and what that reaches once it was asked for', async () => {
    const wants = scope()
    assert.equal(await wants.allows('p', ['commit']), false)
    wants.tell('p', 'commit')
    assert.equal(await wants.allows('p', ['blob']), false)
    assert.equal(await wants.allows('p', ['commit']), true)
    assert.equal(await wants.allows('p', ['blob']), true)
    assert.equal(await wants.allows('p', ['commit', 'other']), false)
    assert.equal(await wants.allows('q', ['commit']), false)
    assert.equal(await wants.allows('q', ['blob']), false)
  })
})
