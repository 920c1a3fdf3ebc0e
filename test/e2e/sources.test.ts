/**
 * Packages on their way through a team's machines, each in a network namespace of its own: a builder with the real Nix, a
 * node that learns from it over SSH, nodes that replicate from that one in every way that Git knows, and a real Nix client
 * that fetches from them. The nodes' machines have no Nix.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fsck, Gachix, type GachixNode } from '../support/gachix.ts'
import { type Host, Network } from '../support/network.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { type Sshd, startSshd } from '../support/sshd.ts'
import { checkSubstitution } from '../support/substitution.ts'

const ATTRIBUTES = ['everything']

describe('from a builder to a client', () => {
  const stack = new AsyncDisposableStack()
  let network: Network
  let store: NixStore
  let builder: Host
  let builderSshd: Sshd
  let hostA: Host
  let a: Gachix
  let nodeA: GachixNode
  let keyA: string
  let roots: string[]
  let closure: PathFacts[]
  let noNix: string

  before(async () => {
    network = stack.use(await Network.create())
    store = stack.use(await NixStore.start())
    roots = await store.build(ATTRIBUTES)
    closure = await store.facts(await store.closure(roots))
    noNix = await mkdtemp(join(tmpdir(), 'gachix-path-'))
    stack.defer(() => rm(noNix, { recursive: true, force: true }))

    builder = await network.host('builder')
    builderSshd = stack.use(
      await startSshd({
        address: builder.address,
        wrap: (command) => builder.command(store.commandInside(command)),
      }),
    )
    hostA = await network.host('a')
    const { user, host, port } = builderSshd
    a = stack.use(
      await Gachix.create({
        host: hostA,
        settings: [
          'store:',
          '  use_local_nix_daemon: false',
          '  builders:',
          `    - { url: "ssh-ng://${user}@${host}:${port}", name: builder, require_signatures: false }`,
          `  ssh_private_key_path: ${builderSshd.clientKey}`,
        ].join('\n'),
        env: { PATH: await pathWith(builderSshd) },
      }),
    )
    nodeA = await a.serve()
  })
  after(() => stack.disposeAsync())

  /** A `PATH` with an SSH client that knows the server, and nothing of Nix or Git. */
  async function pathWith(sshd: Sshd): Promise<string> {
    const folder = await mkdtemp(join(noNix, 'bin-'))
    await symlink(sshd.program, join(folder, 'ssh'))
    return folder
  }

  test('a node learns a closure from the builder, and says that it believes it without signatures', async () => {
    const summary = JSON.parse(await a.run(['add', ...roots, '--json']))
    assert.equal(summary.added, closure.length)
    await fsck(a.repository)
    keyA = (await a.run(['key', 'show'])).trim()
    const status = JSON.parse(await a.run(['status', '--json']))
    const { name, kind, state, packages, requireSignatures } = status.sources[0]
    assert.deepEqual(
      { name, kind, state, packages, requireSignatures },
      { name: 'builder', kind: 'builder', state: 'ok', packages: closure.length, requireSignatures: false },
    )
    assert.match(nodeA.output(), /builder is believed without signatures/)
  })

  const ways: readonly [name: string, acceptEnv: readonly string[] | undefined][] = [
    ['over SSH, protocol version 2', ['GIT_PROTOCOL']],
    ['over SSH to a server that drops GIT_PROTOCOL', []],
    ['over HTTP from the node itself', undefined],
  ]
  for (const [way, acceptEnv] of ways) {
    test(`another node pulls it ${way}, and a client substitutes it from there`, async () => {
      await using resources = new AsyncDisposableStack()
      let url = `${nodeA.url}/git`
      const env: NodeJS.ProcessEnv = {}
      let key = ''
      if (acceptEnv !== undefined) {
        const sshd = resources.use(
          await startSshd({ acceptEnv, address: hostA.address, wrap: (command) => hostA.command(command) }),
        )
        url = `ssh://${sshd.user}@${sshd.host}:${sshd.port}${a.repository}`
        env.PATH = await pathWith(sshd)
        key = `  ssh_private_key_path: ${sshd.clientKey}\n`
      } else {
        env.PATH = join(noNix, 'empty')
        await mkdir(env.PATH)
      }
      const host = await network.host(`b${ways.findIndex(([name]) => name === way)}`)
      const b = resources.use(
        await Gachix.create({
          host,
          env,
          settings: `store:\n  use_local_nix_daemon: false\n${key}  remotes: [{ url: "${url}", name: a }]\ntrust:\n  public_keys: ["${keyA}"]\n`,
        }),
      )
      const node = await b.serve()
      const [check] = JSON.parse(await b.run(['remote', 'check', '--json']))
      assert.equal(check.problem, undefined)
      assert.ok(check.works.selective, 'only what is missing is fetched')
      const summary = JSON.parse(await b.run(['sync', ...roots, '--json']))
      assert.equal(summary.added, closure.length)
      assert.deepEqual(summary.sources, { a: closure.length })
      await fsck(b.repository)
      const publicKeys = [(await b.run(['key', 'show'])).trim()]
      const cache = { url: node.url, publicKeys }
      await checkSubstitution({ cache, roots, closure, with: 'nix copy' })
    })
  }
})
