import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { NodeStatus, PackageSummary } from '../../src/http/control/api.ts'
import { SecretKey } from '../../src/nix/signature.ts'
import { StoreOperations } from '../../src/operations.ts'
import { Replication } from '../../src/replication.ts'
import type { PackageSource } from '../../src/store/api.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import type { SyncEvent } from '../../src/store/sync-event.ts'
import { TrustedKeys } from '../../src/trusted-keys.ts'
import type { AbortOptions } from '../../src/util/lifecycle.ts'
import { silentLogger } from '../../src/util/log.ts'
import { createConfig } from '../support/config.ts'
import { MemorySource, storePathOf } from '../support/memory-source.ts'

const STATUS: NodeStatus = {
  version: '1.0.0',
  pid: 1,
  uptime: 1,
  process: {
    rss: 96_000_000,
    heapUsed: 20_000_000,
    external: 4_000_000,
    handles: { Timeout: 2 },
    listeners: 3,
  },
  store: { path: 'x', storeDir: '/nix/store', packages: 0 },
  http: null,
  publicKey: null,
  sources: [],
  mesh: null,
}

const key = SecretKey.generate('operations.test-1')

async function listed(operations: StoreOperations, options: AbortOptions = {}): Promise<PackageSummary[]> {
  const packages: PackageSummary[] = []
  for await (const one of operations.list(options)) packages.push(one)
  return packages
}

describe('StoreOperations', () => {
  let folder: string
  let store: GitPackageStore
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-operations-'))
    store = await GitPackageStore.open({ path: folder })
  })
  after(async () => {
    await store.close()
    await rm(folder, { recursive: true })
  })

  const sockets: (string | undefined)[] = []
  let closed = 0
  let usage = 0
  const operationsOn = (source: PackageSource) =>
    new StoreOperations({
      store,
      openDaemon: (socket) => {
        sockets.push(socket)
        return { source, close: () => closed++ }
      },
      replication: async () =>
        new Replication({
          config: createConfig(),
          ...{ store, logger: silentLogger, key, trusted: new TrustedKeys(store.gitDir, []) },
        }),
      signingKey: async () => key,
      diskUsage: async () => (usage += 100),
      status: async () => STATUS,
    })
  const source = new MemorySource({
    app: ['lib', 'app'],
    lib: ['base'],
    base: [],
    lone: ['base', 'gone'],
    gone: [],
  })
  const path = (name: string) => storePathOf(name).toString()

  it('adds a closure, tells of its progress, and sums it up', async () => {
    const operations = operationsOn(source)
    const events: SyncEvent[] = []
    const onEvent = (event: SyncEvent) => events.push(event)
    const inside = `${path('app')}/bin/app`
    const summary = await operations.add(
      { paths: [inside], single: false, daemonSocket: '/socket' },
      { onEvent },
    )
    assert.deepEqual(
      { ...summary, bytes: 0, seconds: 0 },
      { paths: 3, added: 3, present: 0, bytes: 0, stored: 100, seconds: 0 },
    )
    assert.ok(summary.bytes > 0)
    assert.deepEqual(events[0]?.type, 'closure')
    assert.equal(events.filter(({ type }) => type === 'package').length, 3)
    assert.deepEqual({ sockets, closed }, { sockets: ['/socket'], closed: 1 })
  })

  it('closes the source also when it has nothing', async () => {
    const request = { paths: [path('nowhere')], single: false }
    await assert.rejects(operationsOn(source).add(request), { code: 'ERR_PATH_NOT_FOUND' })
    assert.equal(closed, 2)
  })

  it('lists in order of the hash parts', async () => {
    const packages = await listed(operationsOn(source))
    const expected = ['app', 'base', 'lib'].map(path).sort()
    assert.deepEqual(
      packages.map((one) => one.path),
      expected,
    )
    const app = packages.find((one) => one.path === path('app'))
    assert.deepEqual(
      { hash: app?.hash, references: app?.references },
      { hash: storePathOf('app').hash, references: 2 },
    )
    const stopped = AbortSignal.abort()
    await assert.rejects(listed(operationsOn(source), { signal: stopped }))
  })

  it('finds a package by path, path inside it, base name and hash part, and nothing by another name', async () => {
    const operations = operationsOn(source)
    const { hash, baseName } = storePathOf('app')
    for (const target of [path('app'), `${path('app')}/x`, baseName, hash]) {
      assert.equal((await operations.info(target))?.path, path('app'))
    }
    assert.equal(await operations.info(`${hash}-other`), undefined)
    assert.equal(await operations.info(path('nowhere')), undefined)
    await assert.rejects(operations.info('nonsense'), { code: 'ERR_STORE_PATH_INVALID' })
  })

  it('says everything of a package, its closure counted once', async () => {
    const info = await operationsOn(source).info(path('app'))
    assert.ok(info)
    assert.deepEqual(info.references, [path('app'), path('lib')].sort())
    assert.match(info.narHash, /^sha256:[0-9a-z]{52}$/)
    assert.equal(info.url, `nar/${info.tree}.nar`)
    assert.match(info.commit ?? '', /^[0-9a-f]{40}$/)
    assert.ok(info.gzip)
    assert.equal(info.gzip.url.startsWith(`nar/${info.tree}.`) && info.gzip.url.endsWith('.nar.gz'), true)
    assert.deepEqual({ ...info.closure, narSize: 0 }, { paths: 3, narSize: 0, complete: true })
    assert.equal(info.deriver, null)
  })

  it('says that a closure is incomplete after adding a package alone', async () => {
    const operations = operationsOn(source)
    await operations.add({ paths: [path('lone')], single: true })
    const info = await operations.info(path('lone'))
    assert.equal(info?.commit, null)
    assert.deepEqual({ ...info?.closure, narSize: 0 }, { paths: 2, narSize: 0, complete: false })
  })

  it('answers what it was given as status', async () => {
    assert.equal(await operationsOn(source).status(), STATUS)
  })
})
