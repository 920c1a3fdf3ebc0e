/** A client whose connection is cut in the middle of a NAR resumes, and gets the right bytes. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { fetchNarinfo, treeOf } from '../support/cache-client.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import { parseNarinfo } from '../support/narinfo.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { checkSubstitution, type Fetch } from '../support/substitution.ts'

const CUTS = 3
const CUT_AFTER = 1_000_000

describe('connections that break', () => {
  let store: NixStore
  let gachix: Gachix
  let node: GachixNode
  let closure: PathFacts[]
  let key: { secretFile: string; publicKey: string }

  before(async () => {
    store = await NixStore.start()
    key = await store.signingKey('resume.test-1')
    const paths = await store.build(['incompressible'])
    closure = await store.facts(await store.closure(paths))
    gachix = await Gachix.create({ daemonSocket: store.socket, keyFile: key.secretFile })
    await gachix.run(['add', ...paths])
    node = await gachix.serve()
  })

  after(async () => {
    await gachix?.close()
    await store?.close()
  })

  async function survives(fetchWith: Fetch, compression: 'gzip' | 'none'): Promise<void> {
    await using proxy = await CuttingProxy.start({
      upstream: node.url,
      cuts: CUTS,
      smallest: 5_000_000,
      after: CUT_AFTER,
      ...(compression === 'none' ? { rewrite: namePlainNar } : {}),
    })
    const roots = closure.map(({ path }) => path)
    const narinfo = await fetchNarinfo(proxy.url, roots[0]!)
    assert.equal(narinfo?.fields.get('Compression'), compression)

    const cache = { url: proxy.url, publicKeys: [key.publicKey] }
    await checkSubstitution({ cache, roots, closure, with: fetchWith })

    const ranges = proxy.requests.map(({ range }) => range)
    assert.equal(proxy.requests.filter(({ cut }) => cut).length, CUTS)
    assert.deepEqual(
      proxy.requests.map(({ status }) => status),
      [200, 206, 206, 206],
    )
    assert.equal(ranges[0], undefined)
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]))
    for (const [index, start] of starts.entries()) {
      // What came before the cut may be a little less than what was sent.
      assert.ok(start > (starts[index - 1] ?? 0) && start <= (index + 1) * CUT_AFTER, `resumed at ${starts}`)
    }
  }

  for (const compression of ['gzip', 'none'] as const) {
    test(`\`nix copy\` survives three cuts of a ${compression} NAR`, () => survives('nix copy', compression))
    test(`\`nix-store -r\` survives three cuts of a ${compression} NAR`, () =>
      survives('nix-store -r', compression))
  }
})

/** Names the plain NAR in a narinfo, as the original's narinfos do. */
function namePlainNar(text: string): string {
  const tree = treeOf(parseNarinfo(text))
  return text
    .replace(/^URL: .*$/m, `URL: nar/${tree}.nar`)
    .replace(/^Compression: .*$/m, 'Compression: none')
    .replace(/^File(Hash|Size): .*\n/gm, '')
}
