import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DaemonClient } from '../../../../src/ingest/daemon/client.ts'
import {
  DaemonError,
  DaemonProtocolError,
  DaemonTimeoutError,
  DaemonUnavailableError,
} from '../../../../src/ingest/daemon/errors.ts'
import { NarFormatError } from '../../../../src/nix/errors.ts'
import { AbortedError } from '../../../../src/util/errors.ts'
import {
  type DaemonPeer,
  daemonPeer,
  ERROR,
  errorRecord,
  fileNar,
  LAST,
  pathInfoAnswer,
  str,
  strs,
  u64,
} from '../../../support/daemon-peer.ts'

const PATH = '/nix/store/00000000000000000000000000000000-x'

/** A client of a peer that has greeted and then follows the script. */
async function session(
  script: (peer: DaemonPeer) => Promise<void>,
  minor = 38,
  options: { idleTimeout?: number; onMessage?: (text: string) => void } = {},
): Promise<DaemonClient> {
  const connect = daemonPeer(async (peer) => {
    await peer.greet(minor)
    await script(peer)
  })
  return DaemonClient.open(connect, { peer: 'the daemon', ...options })
}

async function collect(nar: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of nar) chunks.push(chunk)
  return Buffer.concat(chunks)
}

for (const minor of [21, 25, 26, 32, 33, 34, 35, 37, 38, 39]) {
  test(`protocol 1.${minor}: greeting, questions and a NAR`, async () => {
    const nar = fileNar('hello')
    const connect = daemonPeer(async (peer) => {
      await peer.greet(minor, ['some-feature'])
      assert.deepEqual(await peer.operation(), [1, PATH])
      peer.send(LAST, u64(1))
      assert.deepEqual(await peer.operation(), [26, PATH])
      peer.send(pathInfoAnswer({ references: [PATH], narSize: 5, signatures: ['k:s'], ca: 'text:sha256:x' }))
      assert.deepEqual(await peer.operation(), [26, PATH])
      peer.send(LAST, u64(0))
      assert.deepEqual(await peer.operation(), [29, '0'.repeat(32)])
      peer.send(LAST, str(PATH))
      assert.deepEqual(await peer.operation(), [29, '1'.repeat(32)])
      peer.send(LAST, str(''))
      assert.equal(await peer.u64(), 31)
      assert.equal(await peer.u64(), 1)
      assert.equal(await peer.str(), PATH)
      if (minor >= 27) assert.equal(await peer.u64(), 0)
      peer.send(LAST, strs(PATH))
      assert.deepEqual(await peer.operation(), [11, PATH])
      peer.send(LAST, u64(1))
      assert.deepEqual(await peer.operation(), [38, PATH])
      peer.send(LAST, nar)
      assert.deepEqual(await peer.operation(), [1, PATH])
      peer.send(LAST, u64(0))
    })
    const client = await DaemonClient.open(connect)
    assert.deepEqual(client.hello, {
      minor: Math.min(minor, 38),
      features: minor >= 38 ? ['some-feature'] : [],
      ...(minor >= 33 && { nixVersion: '2.99-test' }),
      ...(minor >= 35 && { trusted: true }),
    })
    assert.equal(await client.isValidPath(PATH), true)
    assert.deepEqual(await client.queryPathInfo(PATH), {
      deriver: '',
      narHash: 'ab'.repeat(32),
      references: [PATH],
      narSize: 5,
      signatures: ['k:s'],
      ca: 'text:sha256:x',
    })
    assert.equal(await client.queryPathInfo(PATH), undefined)
    assert.equal(await client.queryPathFromHashPart('0'.repeat(32)), PATH)
    assert.equal(await client.queryPathFromHashPart('1'.repeat(32)), undefined)
    assert.deepEqual(await client.queryValidPaths([PATH]), [PATH])
    await client.addTempRoot(PATH)
    assert.deepEqual(await collect(client.narFromPath(PATH)), nar)
    assert.equal(await client.isValidPath(PATH), false)
    assert.ok(client.usable)
    client.close()
    assert.ok(!client.usable)
  })
}

test('the greeting is the one of the protocol, byte for byte', async () => {
  const connect = daemonPeer(async (peer) => {
    assert.equal((await peer.read(16)).toString('hex'), '6378696e000000002601000000000000')
    peer.send(Buffer.from('6f697864000000002601000000000000', 'hex'))
    assert.deepEqual(await peer.read(24), Buffer.alloc(24))
    peer.send(strs(), str('2.34.8'), u64(2), LAST)
  })
  const client = await DaemonClient.open(connect)
  assert.deepEqual(client.hello, { minor: 38, features: [], nixVersion: '2.34.8', trusted: false })
  client.close()
})

test('a version that is too old, and what is no daemon, are named', async () => {
  for (const version of [0x100 + 20, 0x100 + 10, 0x200 + 1]) {
    const connect = daemonPeer(async (peer) => {
      await peer.read(16)
      peer.send(u64(0x6478696f), u64(version))
    })
    await assert.rejects(DaemonClient.open(connect, { peer: 'old one' }), (error: Error) => {
      assert.ok(error instanceof DaemonProtocolError)
      assert.match(error.message, /^old one speaks version \d\.\d+ .*1\.21 to 1\.38 are understood/)
      return true
    })
    assert.ok(connect.streams[0]?.destroyed)
  }
  const http = daemonPeer(async (peer) => peer.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n')))
  await assert.rejects(DaemonClient.open(http), DaemonProtocolError)
})

test('a daemon that hangs up or is silent at the greeting is unavailable', async () => {
  const hangup = daemonPeer(async (peer) => {
    peer.stream.end()
  })
  await assert.rejects(DaemonClient.open(hangup), DaemonUnavailableError)
  const silent = daemonPeer(async () => {})
  await assert.rejects(DaemonClient.open(silent, { connectTimeout: 20 }), (error: Error) => {
    assert.ok(error instanceof DaemonUnavailableError)
    assert.match(error.message, /did not answer within 0.02 s/)
    return true
  })
  assert.ok(silent.streams[0]?.destroyed)
  const abort = new AbortController()
  const opening = DaemonClient.open(silent, { signal: abort.signal })
  setImmediate(() => abort.abort())
  await assert.rejects(opening, AbortedError)
  assert.ok(silent.streams[1]?.destroyed)
})

test('records before an answer are skipped, and their texts told without colours', async () => {
  const messages: string[] = []
  const script = async (peer: DaemonPeer) => {
    await peer.operation()
    peer.send(
      ...[u64(0x6f6c6d67), str('\x1b[31;1mwarning:\x1b[0m \x1b]8;;file:///x\x1b\\look\x1b]8;;\x07 here\r\n')],
      ...[u64(0x53545254), u64(1), u64(3), u64(100), str('waiting for a lock')],
      ...[u64(2), u64(0), u64(9), u64(1), str('field'), u64(0)],
      ...[u64(0x52534c54), u64(1), u64(105), u64(1), u64(0), u64(4)],
      ...[u64(0x53545254), u64(2), u64(3), u64(100), str(''), u64(0), u64(1)],
      ...[u64(0x53544f50), u64(1)],
      ...[LAST, u64(1)],
    )
  }
  const client = await session(script, 34, { onMessage: (text) => messages.push(text) })
  assert.equal(await client.isValidPath(PATH), true)
  assert.deepEqual(messages, ['warning: look here', 'waiting for a lock'])
  client.close()
})

test('a refusal carries the message and the traces of the daemon, and ends the connection', async () => {
  const client = await session(async (peer) => {
    await peer.operation()
    peer.send(
      errorRecord("\x1b[31;1merror:\x1b[0m path '\x1b[35;1m/x\x1b[0m' is bad\n", [
        'while \x1b[1mtrying\x1b[0m',
        'outer',
      ]),
    )
  })
  await assert.rejects(client.queryPathInfo('/x'), (error: Error) => {
    assert.ok(error instanceof DaemonError)
    assert.equal(error.code, 'ERR_DAEMON')
    assert.equal(error.message, "the daemon: error: path '/x' is bad\nwhile trying\nouter")
    assert.deepEqual(error.traces, ['while trying', 'outer'])
    return true
  })
  assert.ok(!client.usable)
  await assert.rejects(client.isValidPath(PATH), DaemonUnavailableError)
})

test('before protocol 1.26 a refusal is a message and a status', async () => {
  const client = await session(async (peer) => {
    await peer.operation()
    peer.send(ERROR, str('no'), u64(1))
  }, 25)
  await assert.rejects(client.isValidPath(PATH), (error: Error) => {
    assert.ok(error instanceof DaemonError)
    assert.equal(error.message, 'the daemon: no')
    return true
  })
})

test('an error in the place of a NAR, or of a part of it, is found', async () => {
  const nar = fileNar('hello')
  // After nothing, `nix-archive-1`, `(`, `type`, `regular`, `contents` and all, and all but the end.
  for (const length of [0, 24, 40, 56, 72, 112]) {
    for (const whole of [true, false]) {
      const client = await session(async (peer) => {
        await peer.operation()
        const record = errorRecord('path is not valid')
        if (whole) peer.send(LAST, nar.subarray(0, length), record)
        else
          for (const part of [LAST, nar.subarray(0, length), record.subarray(0, 3), record.subarray(3)])
            peer.send(part)
        peer.stream.end()
      }, 34)
      await assert.rejects(collect(client.narFromPath(PATH)), (error: Error) => {
        assert.ok(error instanceof DaemonError, `${length}: ${error}`)
        assert.equal(error.message, 'the daemon: path is not valid')
        return true
      })
      assert.ok(!client.usable)
    }
  }
})

test('a NAR that breaks off or is none fails', async () => {
  const nar = fileNar('hello')
  for (const [answer, kind] of [
    [nar.subarray(0, -3), DaemonUnavailableError],
    [Buffer.concat([nar.subarray(0, 96), errorRecord('inside the contents')]), NarFormatError],
    [Buffer.from(nar).fill(1, 40, 41), NarFormatError],
    [u64(14), NarFormatError],
  ] as const) {
    const client = await session(async (peer) => {
      await peer.operation()
      peer.send(LAST, answer)
      peer.stream.end()
    })
    await assert.rejects(collect(client.narFromPath(PATH)), kind)
    assert.ok(!client.usable)
  }
})

test('unknown records and bytes after an answer break the protocol', async () => {
  const unknown = await session(async (peer) => {
    await peer.operation()
    peer.send(u64(0x64617461), u64(4))
  })
  await assert.rejects(unknown.isValidPath(PATH), /unknown record 0x64617461/)
  const extra = await session(async (peer) => {
    await peer.operation()
    peer.send(LAST, u64(1), u64(9))
  })
  assert.equal(await extra.isValidPath(PATH), true)
  assert.ok(!extra.usable)
  await assert.rejects(extra.isValidPath(PATH), DaemonProtocolError)
})

test('leaving a NAR early ends the connection', async () => {
  const client = await session(async (peer) => {
    await peer.operation()
    const nar = fileNar('x'.repeat(100_000))
    peer.send(LAST, nar.subarray(0, 200))
    peer.send(nar.subarray(200))
  })
  for await (const chunk of client.narFromPath(PATH)) {
    assert.ok(chunk.length > 0)
    break
  }
  assert.ok(!client.usable)
})

test('an abort ends the operation and the connection', async () => {
  for (const use of [
    (client: DaemonClient, signal: AbortSignal) => client.isValidPath(PATH, { signal }),
    (client: DaemonClient, signal: AbortSignal) => collect(client.narFromPath(PATH, { signal })),
  ]) {
    const abort = new AbortController()
    const client = await session(async (peer) => {
      await peer.operation()
      abort.abort(new Error('enough'))
    })
    await assert.rejects(use(client, abort.signal), (error: Error) => {
      assert.ok(error instanceof AbortedError)
      assert.equal((error.cause as Error).message, 'enough')
      return true
    })
    assert.ok(!client.usable)
  }
  const client = await session(async () => {})
  await assert.rejects(client.isValidPath(PATH, { signal: AbortSignal.abort() }), AbortedError)
  assert.ok(client.usable)
  client.close()
})

test('a daemon that falls silent is given up', async () => {
  const client = await session(async () => {}, 38, { idleTimeout: 20 })
  await assert.rejects(client.isValidPath(PATH), DaemonTimeoutError)
  assert.ok(!client.usable)
})

test('two operations at once are a defect of the caller', async () => {
  const client = await session(async (peer) => {
    await peer.operation()
    peer.send(LAST, u64(1))
  })
  const first = client.isValidPath(PATH)
  await assert.rejects(client.isValidPath(PATH), /two operations at once/)
  assert.equal(await first, true)
  client.close()
})

test('any answer in any chunks gives a result or a named error', async () => {
  const record = fc.oneof(
    fc.constantFrom(LAST, ERROR, u64(0), u64(1), u64(2), u64(0x6f6c6d67), u64(0x53545254), u64(0x52534c54)),
    fc.constantFrom(
      u64(13),
      u64(2n ** 64n - 1n),
      str('nix-archive-1'),
      str(''),
      str('text'),
      errorRecord('x', ['y']),
    ),
    fc.constantFrom(pathInfoAnswer({}), Buffer.concat([LAST, fileNar('x')])),
    fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes)),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(record, { maxLength: 12 }),
      fc.integer({ min: 1, max: 64 }),
      async (parts, size) => {
        const script = async (peer: DaemonPeer) => {
          await peer.operation()
          const bytes = Buffer.concat(parts)
          for (let at = 0; at < bytes.length; at += size) peer.send(bytes.subarray(at, at + size))
          peer.stream.end()
        }
        for (const use of [
          (client: DaemonClient) => client.queryPathInfo(PATH),
          (client: DaemonClient) => collect(client.narFromPath(PATH)),
        ]) {
          const client = await session(script)
          await use(client).catch((error: unknown) => {
            const named = [DaemonError, DaemonProtocolError, DaemonUnavailableError, NarFormatError]
            assert.ok(
              named.some((kind) => error instanceof kind),
              String(error),
            )
            assert.ok(!client.usable)
          })
          client.close()
        }
      },
    ),
    { numRuns: 150 },
  )
})
