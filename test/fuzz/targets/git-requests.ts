/** What Git clients send: packets, and the requests in them. */
import assert from 'node:assert/strict'
import { isOid } from '../../../src/git/oid.ts'
import {
  DELIM_PKT,
  encodePkt,
  FLUSH_PKT,
  MAX_PKT_PAYLOAD,
  PktReader,
} from '../../../src/git/protocol/pkt-line.ts'
import { negotiateV0 } from '../../../src/git/protocol/upload-pack/negotiate-v0.ts'
import { readWants } from '../../../src/git/protocol/upload-pack/request-v0.ts'
import { readV2Request } from '../../../src/git/protocol/upload-pack/request-v2.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const OID = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
const OTHER = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'

export const target: FuzzTarget = {
  name: 'git-requests',
  tokens: [
    ...[
      '0000',
      '0001',
      '0002',
      '0003',
      'fff0',
      'fff1',
      'command=fetch',
      'command=ls-refs',
      'object-format=sha1',
    ],
    ...[
      'want ',
      'have ',
      'done',
      'filter ',
      'blob:none',
      'tree:0',
      'deepen 1',
      'shallow ',
      'ref-prefix ',
      'peel',
    ],
    ...['0009done\n', `0032have ${OID}\n`, ' multi_ack_detailed', ' side-band-64k', OID, '\n', '\0'],
  ],

  seeds: () => [
    Buffer.concat([
      encodePkt('command=ls-refs\n'),
      encodePkt('agent=git/2.39\n'),
      DELIM_PKT,
      ...['peel', 'symrefs', 'unborn', 'ref-prefix refs/', 'ref-prefix HEAD'].map((line) =>
        encodePkt(`${line}\n`),
      ),
      FLUSH_PKT,
    ]),
    Buffer.concat([
      encodePkt('command=fetch'),
      encodePkt('object-format=sha1'),
      DELIM_PKT,
      ...['thin-pack', 'no-progress', 'include-tag', 'ofs-delta', 'wait-for-done'].map(encodePkt),
      ...[`want ${OID}`, `have ${OTHER}`, 'filter blob:none', 'done'].map((line) => encodePkt(`${line}\n`)),
      FLUSH_PKT,
    ]),
    Buffer.concat([
      encodePkt(`want ${OID} multi_ack_detailed side-band-64k ofs-delta agent=git/2.39\n`),
      encodePkt(`want ${OTHER}\n`),
      encodePkt('filter tree:0\n'),
      FLUSH_PKT,
      encodePkt(`have ${OID}\n`),
      FLUSH_PKT,
      encodePkt('done\n'),
    ]),
  ],

  async run(data) {
    await packets(data)
    await refused(readRequests(data))
    for (const stateless of [true, false]) await refused(conversation(data, stateless))
  },
}

async function* once(data: Buffer): AsyncGenerator<Buffer> {
  yield data
}

async function* bytewise(data: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += 7) yield data.subarray(at, at + 7)
}

/** The packets are the same however the stream is cut. */
async function packets(data: Buffer): Promise<void> {
  const read = async (stream: AsyncGenerator<Buffer>): Promise<string[]> => {
    const found: string[] = []
    const reader = new PktReader(stream)
    try {
      for (let packet = await reader.read(); packet !== undefined; packet = await reader.read()) {
        if (packet.type === 'data') assert.ok(packet.payload.length <= MAX_PKT_PAYLOAD)
        found.push(packet.type === 'data' ? packet.payload.toString('latin1') : packet.type)
      }
    } catch (error) {
      if (!(error instanceof GachixError)) throw error
      found.push(error.code)
    }
    return found
  }
  assert.deepEqual(await read(once(data)), await read(bytewise(data)))
}

async function readRequests(data: Buffer): Promise<void> {
  const reader = new PktReader(once(data))
  for (;;) {
    const request = await readV2Request(reader)
    if (request === undefined) return
    if (request.command === 'fetch') assert.ok([...request.wants, ...request.haves].every(isOid))
  }
}

async function conversation(data: Buffer, stateless: boolean): Promise<void> {
  const reader = new PktReader(bytewise(data))
  const wants = await readWants(reader)
  if (wants === undefined) return
  assert.ok(wants.wants.length > 0 && wants.wants.every(isOid))
  const answer = negotiateV0({ reader, ackMode: wants.ackMode, has: (oid) => oid === OID, stateless })
  for (;;) {
    const { done, value } = await answer.next()
    if (done) break
    assert.match(value.toString(), /^[0-9a-f]{4}(?:NAK|ACK [0-9a-f]{40}(?: common| continue)?)\n$/)
  }
}

/** Refusals are what is expected of most inputs. */
async function refused(work: Promise<void>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof GachixError)) throw error
  }
}
