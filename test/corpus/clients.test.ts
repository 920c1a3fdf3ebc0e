/**
 * Nix of other versions as the client: packages of every shape and both generations of the corpus, fetched with
 * signatures required, verified, every NAR compared. `environment.ts` says where the clients come from.
 */
import { after, before, describe, test } from 'node:test'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { NixClient } from '../support/nix-client.ts'
import { checkSubstitution } from '../support/substitution.ts'
import { COMPRESSIONS, UpstreamCaches } from '../support/upstream-caches.ts'
import { type Clients, type Corpus, openClients, openCorpus } from './environment.ts'

/** Debian releases: trixie has Nix 2.26, sid 2.34. The suite itself runs this machine's, on bookworm 2.8. */
const SUITES = ['trixie', 'sid']

interface Subject {
  readonly root: string
  readonly closure: readonly PathFacts[]
}

describe('other versions of Nix', () => {
  let clients: Clients
  let corpus: Corpus
  let shapes: NixStore
  let gachix: Gachix
  let node: GachixNode
  let publicKeys: string[]
  const subjects = new Map<string, Subject>()
  let caches: UpstreamCaches
  let upstream: { readonly roots: string[]; readonly closure: readonly PathFacts[] }

  before(async () => {
    clients = await openClients(SUITES)
    corpus = await openCorpus()
    shapes = await NixStore.start()
    const key = await shapes.signingKey('clients.test-1')
    publicKeys = [key.publicKey]
    gachix = await Gachix.create({ keyFile: key.secretFile })
    const [everything] = await shapes.build(['everything'])
    const sources: [string, NixStore, string][] = [
      ['packages of every shape', shapes, everything!],
      ['generation A', corpus.store, corpus.systems.A],
      ['generation B', corpus.store, corpus.systems.B],
    ]
    for (const [name, store, root] of sources) {
      await gachix.run(['add', root], { NIX_DAEMON_SOCKET_PATH: store.socket })
      subjects.set(name, { root, closure: await store.facts(await store.closure([root])) })
    }
    node = await gachix.serve()
    const roots = await shapes.build(['diamond-top', 'odd-names', 'self-reference'])
    upstream = { roots, closure: await shapes.facts(await shapes.closure(roots)) }
    caches = await UpstreamCaches.start(shapes, roots)
  })

  after(async () => {
    await gachix?.close()
    await caches?.[Symbol.asyncDispose]()
    await shapes?.close()
    await corpus?.store.close()
    await clients?.close()
  })

  for (const suite of SUITES) {
    for (const compression of COMPRESSIONS) {
      test(`${suite}: fetches through a node what an upstream cache has, compressed with ${compression}`, async () => {
        await using through = await caches.node(compression)
        const { url } = await through.serve()
        const publicKeys = [(await through.run(['key', 'show'])).trim()]
        await checkSubstitution({
          cache: { url, publicKeys },
          roots: upstream.roots,
          closure: upstream.closure,
          with: 'nix-store -r',
          chroot: clients.chroot(suite),
        })
      })
    }
    test(`${suite}: its version`, async (t) => {
      await using client = await NixClient.create({ chroot: clients.chroot(suite) })
      t.diagnostic(`${suite} has Nix ${await client.version()}`)
    })
    for (const subject of ['packages of every shape', 'generation A', 'generation B']) {
      for (const fetchWith of ['nix copy', 'nix-store -r'] as const) {
        test(`${suite}: \`${fetchWith}\` fetches ${subject}`, async () => {
          const { root, closure } = subjects.get(subject)!
          const cache = { url: node.url, publicKeys }
          await checkSubstitution({
            cache,
            roots: [root],
            closure,
            with: fetchWith,
            chroot: clients.chroot(suite),
          })
        })
      }
    }
  }
})
