/** Two nodes of a mesh with nearly the same packages, very many: joining, first contact, pulling what one of them lacks. */
import { cp, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RepositoryLock } from '../../src/git/lock.ts'
import { ControlClient } from '../../src/http/control/client.ts'
import { SecretKey, sign } from '../../src/nix/signature.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { Gachix, type GachixNode } from '../support/gachix.ts'
import { chunksOf, file, makePackage } from '../support/packages.ts'
import { until } from '../support/process.ts'
import type { Figure } from './figures.ts'
import { HttpConnection } from './http-connection.ts'
import { NODE_FLAGS } from './node-flags.ts'
import { cpuSeconds, peakMemory } from './process-stats.ts'

/** Packages that only one of the two has. */
const MORE = 100
const SECTION = 'Two nodes of a mesh with many packages'
const MESH = {
  GACHIX__MESH__ENABLED: 'true',
  GACHIX__MESH__MDNS: 'false',
  GACHIX__MESH__LISTEN: '["/ip4/127.0.0.1/tcp/0"]',
}
const PATIENCE = 300_000
/** Milliseconds between two requests of the client that waits for a node to join. */
const PAUSE = 2

/** @param repository of `count` packages; it gets some more */
export async function measureScaleMesh(
  repository: string,
  count: number,
  signal: AbortSignal,
): Promise<Figure[]> {
  const figures: Figure[] = []
  const add = (name: string, unit: string, ...product: number[]): void => {
    figures.push({ section: SECTION, name, unit, product })
  }
  const other = await mkdtemp(join(tmpdir(), 'many-too-'))
  await cp(repository, other, { recursive: true })
  const key = SecretKey.generate('bench.test-1')
  const paths = await addMore(repository, key)
  signal.throwIfAborted()
  await using giver = await Gachix.create({ repository, env: MESH, nodeFlags: NODE_FLAGS })
  const trust = { GACHIX__TRUST__PUBLIC_KEYS: key.publicKey.toString() }
  await using taker = await Gachix.create({
    repository: other,
    env: { ...MESH, ...trust },
    nodeFlags: NODE_FLAGS,
  })
  const gives = await joined(giver, 'joining, with a new inventory', add)
  const takes = await joined(taker, 'the same of the other node', add)
  signal.throwIfAborted()
  await measureContact([gives, takes], [giver, taker], count + MORE, add)
  await measurePull([gives, takes], taker, paths, add)
  await gives.stop()
  const again = await joined(giver, 'joining, with the inventory of before', add)
  await again.stop()
  return figures
}

type Add = (name: string, unit: string, ...product: number[]) => void

/** Adds signed packages. @returns their store paths */
async function addMore(repository: string, key: SecretKey): Promise<string[]> {
  const store = await GitPackageStore.open({ path: repository })
  try {
    const session = store.ingest()
    const paths: string[] = []
    for (let number = 0; number < MORE; number++) {
      const { info, nar } = makePackage(`one-more-${number}`, file(`more ${number}\n`))
      await session.add({ ...info, signatures: [sign(key, info)] }, chunksOf(nar))
      paths.push(info.storePath.toString())
    }
    await session.finish()
    return paths
  } finally {
    await store.close()
  }
}

/** Starts a node and asks it all the while, until it is in the mesh. */
async function joined(gachix: Gachix, what: string, add: Add): Promise<GachixNode> {
  const node = await gachix.serve()
  const pid = node.child.pid!
  const before = cpuSeconds([pid])
  const began = performance.now()
  const connection = await HttpConnection.open(Number(new URL(node.url).port))
  let longest = 0
  while (!node.output().includes('joined the mesh')) {
    const asked = performance.now()
    if (asked - began > PATIENCE) throw new Error(`the node does not join the mesh: ${node.output()}`)
    await connection.get('/nix-cache-info')
    longest = Math.max(longest, performance.now() - asked)
    await new Promise((resolve) => setTimeout(resolve, PAUSE))
  }
  connection.close()
  add(`${what}, after the first answer`, 's', (performance.now() - began) / 1000)
  add(`${what}, CPU`, 's', cpuSeconds([pid]) - before)
  add(`${what}, longest wait of a request meanwhile`, 'ms', longest)
  add(`${what}, peak memory`, 'MB', peakMemory(pid) / 1e6)
  return node
}

/** From the command that names the peer until the inventory of the peer is known. */
async function measureContact(
  [gives, takes]: readonly [GachixNode, GachixNode],
  [giver, taker]: readonly [Gachix, Gachix],
  count: number,
  add: Add,
): Promise<void> {
  const pids = [gives.child.pid!, takes.child.pid!]
  const { addresses } = await (await control(giver)).meshIdentity()
  const client = await control(taker)
  const before = cpuSeconds(pids)
  const began = performance.now()
  await client.addPeer({ address: addresses[0]! })
  const peer = await until(
    () => 'the inventory of the peer',
    async () => (await client.peers()).find(({ packages }) => packages === count),
    PATIENCE,
  )
  add(`first contact, ${MORE} packages apart`, 's', (performance.now() - began) / 1000)
  add('first contact, CPU of both', 's', cpuSeconds(pids) - before)
  add('first contact, bytes received and sent', 'kB', (peer.bytesIn + peer.bytesOut) / 1000)
  for (const [index, name] of ['the one', 'the other'].entries())
    add(`peak memory of ${name} then`, 'MB', peakMemory(pids[index]!) / 1e6)
}

async function measurePull(
  nodes: readonly GachixNode[],
  taker: Gachix,
  paths: readonly string[],
  add: Add,
): Promise<void> {
  const pids = nodes.map(({ child }) => child.pid!)
  const before = cpuSeconds(pids)
  const began = performance.now()
  const summary = await (await control(taker)).sync({ paths: [...paths] })
  if (summary.added !== MORE) throw new Error(`${summary.added} of ${MORE} packages came`)
  add(`pulling these ${MORE} packages`, 's', (performance.now() - began) / 1000)
  add('pulling them, CPU of both', 's', cpuSeconds(pids) - before)
  for (const [index, name] of ['the one', 'the other'].entries())
    add(`peak memory of ${name} after that`, 'MB', peakMemory(pids[index]!) / 1e6)
}

async function control({ repository }: Gachix): Promise<ControlClient> {
  const holder = await RepositoryLock.read(repository)
  if (holder?.controlSocket === undefined) throw new Error(`no node has ${repository}`)
  return new ControlClient(holder.controlSocket)
}
