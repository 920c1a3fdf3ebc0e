import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { PackageSummary } from '../../../../src/http/control/api.ts'
import { ControlClient } from '../../../../src/http/control/client.ts'
import { ControlServer } from '../../../../src/http/control/server.ts'
import type { SyncEvent } from '../../../../src/store/sync-event.ts'
import { GachixError } from '../../../../src/util/errors.ts'
import { silentLogger } from '../../../../src/util/log.ts'
import { recordingLogger, until } from '../../../support/cache-server.ts'
import {
  DETAILS,
  MemoryOperations,
  STATUS,
  SUMMARY,
  untilAborted,
} from '../../../support/memory-operations.ts'

async function start(t: TestContext, logger = silentLogger) {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-control-'))
  const path = join(folder, 'control.sock')
  const operations = new MemoryOperations()
  const server = new ControlServer({ operations, path, logger })
  await server.start()
  t.after(async () => {
    await server.stop()
    await rm(folder, { recursive: true })
  })
  return { operations, server, path, client: new ControlClient(path) }
}

const ADD = { paths: ['/nix/store/x-ü "quoted"\n'], single: false }

async function listed(client: ControlClient): Promise<PackageSummary[]> {
  const packages: PackageSummary[] = []
  for await (const one of client.list()) packages.push(one)
  return packages
}

describe('round trips', () => {
  test('add, with its events in order', async (t) => {
    const { client, operations } = await start(t)
    const sent: SyncEvent[] = [
      { type: 'closure', paths: 3, bytes: 10, missing: 2, missingBytes: 7 },
      { type: 'bytes', bytes: 5 },
      { type: 'package', path: '/nix/store/ü\n', narSize: 7, outcome: 'added' },
    ]
    operations.work = async ({ onEvent }) => {
      for (const event of sent) onEvent!(event)
      return SUMMARY
    }
    const got: SyncEvent[] = []
    const request = { ...ADD, daemonSocket: '/run/daemon' }
    assert.deepEqual(await client.add(request, { onEvent: (event) => got.push(event) }), SUMMARY)
    assert.deepEqual(got, sent)
    await client.add(ADD)
    assert.deepEqual(operations.requests, [request, ADD])
  })

  test('events arrive while the work goes on', async (t) => {
    const { client, operations } = await start(t)
    let goOn = () => {}
    operations.work = async ({ onEvent }) => {
      onEvent!({ type: 'bytes', bytes: 1 })
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      return SUMMARY
    }
    await client.add(ADD, { onEvent: () => goOn() })
  })

  test('list, of any length', async (t) => {
    const { client, operations } = await start(t)
    for (const count of [0, 1, 20_000]) {
      operations.packages = count
      const got = await listed(client)
      assert.equal(got.length, count)
      assert.equal(got.at(-1)?.hash, count === 0 ? undefined : `${count - 1}`)
    }
  })

  test('info, and what is not here', async (t) => {
    const { client, operations } = await start(t)
    const target = '/nix/store/0-a+b=c?d&e%20f'
    assert.deepEqual(await client.info(target), DETAILS)
    assert.equal(await client.info('absent'), undefined)
    assert.deepEqual(operations.targets, [target, 'absent'])
  })

  test('status', async (t) => {
    assert.deepEqual(await (await start(t)).client.status(), STATUS)
  })
})

describe('errors', () => {
  test('arrive with code and message', async (t) => {
    const { client, operations } = await start(t)
    operations.work = async () => {
      throw new GachixError('ERR_PATH_UNKNOWN', 'no such path: /nix/store/x')
    }
    await assert.rejects(client.add(ADD), (error) => {
      assert.ok(error instanceof GachixError)
      assert.equal(error.code, 'ERR_PATH_UNKNOWN')
      assert.equal(error.message, 'no such path: /nix/store/x')
      return true
    })
    operations.info = operations.work as never
    await assert.rejects(client.info('x'), { code: 'ERR_PATH_UNKNOWN' })
    operations.list = async function* () {
      yield { hash: 'a', path: 'b', narSize: 1, references: 0 }
      throw new GachixError('ERR_X', 'later')
    }
    await assert.rejects(listed(client), { code: 'ERR_X' })
  })

  test('that are defects are in the log of the node', async (t) => {
    const { logger, lines } = recordingLogger()
    const { client, operations } = await start(t, logger)
    operations.work = async () => {
      throw new TypeError('a defect')
    }
    await assert.rejects(client.add(ADD), { code: 'ERR_INTERNAL', message: 'a defect' })
    assert.ok(lines.some(({ level, message }) => level === 'error' && message.includes('a defect')))
  })

  test('no node: the way out is named', async (t) => {
    const { server, path, client } = await start(t)
    await server.stop()
    const expected = { code: 'ERR_NODE_UNREACHABLE', message: /gachix serve starts one/ }
    await assert.rejects(client.status(), expected)
    await assert.rejects(client.add(ADD), expected)
    await assert.rejects(listed(client), expected)
    await assert.rejects(new ControlClient(`${path}/x`).status(), expected)
  })

  test('of a listener are the caller’s, and end the operation', async (t) => {
    const { client, operations } = await start(t)
    operations.work = async (options) => {
      options.onEvent!({ type: 'bytes', bytes: 1 })
      return untilAborted(options)
    }
    const onEvent = () => {
      throw new RangeError('mine')
    }
    await assert.rejects(client.add(ADD, { onEvent }), RangeError)
    await until(() => operations.running === 0)
  })
})

describe('endings', () => {
  test('a client that aborts ends the operation', async (t) => {
    const { client, operations } = await start(t)
    operations.work = untilAborted
    const controller = new AbortController()
    const adding = client.add(ADD, { signal: controller.signal })
    await until(() => operations.running === 1)
    controller.abort()
    await assert.rejects(adding, { code: 'ERR_ABORTED' })
    await until(() => operations.running === 0)
    await assert.rejects(client.add(ADD, { signal: controller.signal }), { code: 'ERR_ABORTED' })
  })

  test('a client that has seen enough of a list ends it', async (t) => {
    const { client, operations } = await start(t)
    operations.packages = 5_000_000
    for await (const _ of client.list()) break
    await until(() => operations.running === 0)
  })

  test('a node that stops tells its clients', async (t) => {
    const { client, operations, server } = await start(t)
    operations.work = untilAborted
    const adding = assert.rejects(client.add(ADD), { code: 'ERR_ABORTED', message: 'the node was stopped' })
    await until(() => operations.running === 1)
    await server.stop()
    await adding
    assert.equal(operations.running, 0)
  })
})
