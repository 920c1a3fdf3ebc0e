/** The daemon client against the real nix-daemon, over its socket and over its standard input and output. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { after, before, test } from 'node:test'
import { addPackages } from '../../../src/ingest/add.ts'
import { walkClosure } from '../../../src/ingest/closure.ts'
import { DaemonClient } from '../../../src/ingest/daemon/client.ts'
import { type Connect, unixSocket } from '../../../src/ingest/daemon/connect.ts'
import { DaemonError } from '../../../src/ingest/daemon/errors.ts'
import { DaemonSource } from '../../../src/ingest/daemon/source.ts'
import { PathNotFoundError } from '../../../src/ingest/index.ts'
import { formatHash } from '../../../src/nix/hash.ts'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { GitPackageStore } from '../../../src/store/package-store.ts'
import { AbortedError } from '../../../src/util/errors.ts'
import { NixStore, type PathFacts } from '../../support/nix.ts'

const ATTRIBUTES = [
  'executable',
  'directory',
  'self-reference',
  'odd-names',
  'git-names',
  'many-files',
  'diamond-top',
]
const CONTENT_ADDRESSED = ['ca-flat', 'ca-recursive']

let nix: NixStore
let source: DaemonSource
let roots: StorePath[]
let text: string
let facts: Map<string, PathFacts>

before(async () => {
  nix = await NixStore.start()
  const built = await nix.build([...ATTRIBUTES, ...CONTENT_ADDRESSED])
  const folder = await mkdtemp(join(tmpdir(), 'gachix-daemon-'))
  await writeFile(join(folder, 'added'), 'added by hand\n')
  built.push(await nix.add(join(folder, 'added')))
  await rm(folder, { recursive: true })
  text = built.at(-1)!
  roots = built.map((path) => StorePath.parse(path))
  const closure = await nix.closure(built)
  facts = new Map((await nix.facts(closure)).map((fact) => [fact.path, fact]))
  source = new DaemonSource({ connect: unixSocket(nix.socket), name: 'test daemon' })
})

after(async () => {
  source?.close()
  await nix?.close()
})

/** The protocol over the pipes of a daemon process, as over ssh. */
const pipes: Connect = async (signal) => {
  const daemon = spawn('nix-daemon', ['--stdio'], {
    env: { ...nix.env, NIX_REMOTE: nix.root },
    stdio: ['pipe', 'pipe', 'ignore'],
    signal,
  })
  daemon.on('error', () => {})
  return Duplex.from({ readable: daemon.stdout, writable: daemon.stdin })
}

function asFacts(info: PathInfo): PathFacts {
  return {
    path: info.storePath.toString(),
    narHash: formatHash(info.narHash, 'base16').slice('sha256:'.length),
    narSize: info.narSize,
    references: info.references.map(String),
    ...(info.deriver && { deriver: info.deriver.toString() }),
    ...(info.ca && { ca: info.ca }),
  }
}

async function checkNar(from: DaemonSource, info: PathInfo): Promise<void> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of from.nar(info)) {
    hash.update(chunk)
    size += chunk.length
  }
  assert.equal(size, info.narSize, info.storePath.toString())
  assert.equal(
    hash.digest('hex'),
    Buffer.from(info.narHash.digest).toString('hex'),
    info.storePath.toString(),
  )
}

test('the closure is what Nix says it is, and every NAR has its hash', async () => {
  const infos = await walkClosure(source, roots)
  assert.deepEqual(new Map(infos.map((info) => [info.storePath.toString(), asFacts(info)])), facts)
  assert.ok(infos.some((info) => info.references.some((reference) => reference.equals(info.storePath))))
  assert.ok(infos.some((info) => info.ca !== undefined))
  assert.ok(infos.some((info) => info.deriver !== undefined))
  await Promise.all(infos.map((info) => checkNar(source, info)))
})

test('the same over pipes', async () => {
  const piped = new DaemonSource({ connect: pipes, name: 'piped daemon', connections: 2 })
  const infos = await walkClosure(piped, roots)
  assert.deepEqual(new Map(infos.map((info) => [info.storePath.toString(), asFacts(info)])), facts)
  await Promise.all(infos.map((info) => checkNar(piped, info)))
  piped.close()
})

test('every question of the client is answered', async () => {
  const client = await DaemonClient.open(unixSocket(nix.socket), { peer: 'test daemon' })
  assert.ok(client.hello.minor >= 34, `protocol 1.${client.hello.minor}`)
  assert.match(client.hello.nixVersion ?? '', /^2\./)
  const gone = `/nix/store/${'0'.repeat(32)}-gone`
  const path = StorePath.parse(text)
  assert.equal(await client.isValidPath(text), true)
  assert.equal(await client.isValidPath(gone), false)
  assert.equal(await client.queryPathInfo(gone), undefined)
  assert.equal((await client.queryPathInfo(text))?.narSize, facts.get(text)?.narSize)
  assert.equal(await client.queryPathFromHashPart(path.hash), text)
  assert.equal(await client.queryPathFromHashPart('0'.repeat(32)), undefined)
  assert.deepEqual(await client.queryValidPaths([gone, text]), [text])
  await client.addTempRoot(text)
  assert.ok(client.usable)
  client.close()
})

test('what the daemon refuses is its own message, and the source goes on', async () => {
  const client = await DaemonClient.open(unixSocket(nix.socket), { peer: 'test daemon' })
  await assert.rejects(client.queryPathInfo('/nix/store/bad'), (error: Error) => {
    assert.ok(error instanceof DaemonError)
    assert.match(error.message, /^test daemon: .*'bad'/)
    assert.ok(!error.message.includes('\x1b'))
    return true
  })
  const info = (await source.pathInfo(StorePath.parse(text)))!
  const gone = { ...info, storePath: StorePath.parse(`/nix/store/${'0'.repeat(32)}-gone`) }
  await assert.rejects(checkNar(source, gone), (error: Error) => {
    assert.ok(error instanceof DaemonError)
    assert.match(error.message, /0-gone'/)
    return true
  })
  await checkNar(source, info)
  assert.equal(await source.pathInfo(gone.storePath), undefined)
  assert.equal(await source.pathInfo('0'.repeat(32)), undefined)
  assert.equal(String((await source.pathInfo(info.storePath.hash))?.storePath), text)
  await assert.rejects(walkClosure(source, [gone.storePath]), PathNotFoundError)
})

test('an abort or a consumer that leaves in the middle of a NAR does no harm', async () => {
  const info = (await source.pathInfo(roots[ATTRIBUTES.indexOf('many-files')]!))!
  const abort = new AbortController()
  await assert.rejects(async () => {
    for await (const chunk of source.nar(info, { signal: abort.signal })) {
      assert.ok(chunk.length > 0)
      abort.abort()
    }
  }, AbortedError)
  for await (const chunk of source.nar(info)) {
    assert.ok(chunk.length > 0)
    break
  }
  await checkNar(source, info)
})

test('everything is added to a store, and the NARs come back byte for byte', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-daemon-'))
  const store = await GitPackageStore.open({ path: join(folder, 'repository') })
  try {
    const result = await addPackages(store, source, roots)
    assert.equal(result.added, facts.size)
    for (const fact of facts.values()) {
      const info = (await store.pathInfo(StorePath.parse(fact.path)))!
      assert.deepEqual(asFacts(info), fact)
      const hash = createHash('sha256')
      for await (const chunk of store.nar(info)) hash.update(chunk)
      assert.equal(hash.digest('hex'), fact.narHash, fact.path)
    }
    assert.equal((await addPackages(store, source, roots)).added, 0)
  } finally {
    await store.close()
    await rm(folder, { recursive: true })
  }
})
