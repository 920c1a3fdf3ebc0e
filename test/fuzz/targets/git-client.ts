/** Client of Git servers: the input is all that a server says. */
import assert from 'node:assert/strict'
import { readFetch } from '../../../src/git/protocol/client/fetch.ts'
import { readGreeting } from '../../../src/git/protocol/client/greeting.ts'
import { readLsRefs } from '../../../src/git/protocol/client/ls-refs.ts'
import { NO_OID, readPushReport } from '../../../src/git/protocol/client/push.ts'
import { encodePkt, FLUSH_PKT, PktReader } from '../../../src/git/protocol/pkt-line.ts'
import { parseRemoteUrl } from '../../../src/git/transport/remote-url.ts'
import { RememberedPackages } from '../../../src/ingest/remote/package-refs.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { collect } from '../../support/collect.ts'
import { chunksOf } from '../../support/packages.ts'
import type { FuzzTarget } from '../target.ts'

const OID = '1'.repeat(40)
const REFS = [`refs/${'0'.repeat(32)}/narinfo`, `refs/${'0'.repeat(32)}/result`]
const COMMANDS = REFS.map((ref) => ({ ref, before: NO_OID, after: OID }))
const DELIMITER = Buffer.from('0001')
const lines = (...texts: string[]) => texts.map((text) => encodePkt(`${text}\n`))
const V2 = [...lines('version 2', 'agent=x', 'ls-refs', 'fetch=filter', 'object-format=sha1'), FLUSH_PKT]
const V0 = [...lines(`${OID} ${REFS[0]}\0side-band-64k agent=x`, `${OID} ${REFS[1]}`), FLUSH_PKT]
const REPORT = Buffer.concat([...lines('unpack ok', ...REFS.map((ref) => `ok ${ref}`)), FLUSH_PKT])
const PACK = [encodePkt('\u0001PACK'), encodePkt('\u0002progress'), encodePkt('\u0003failure'), FLUSH_PKT]

export const target: FuzzTarget = {
  name: 'git-client',
  maxLength: 4096,
  tokens: [
    ...[FLUSH_PKT, DELIMITER, '0002', '0003', '0004', 'ffff', '\0', '\n', ' ', OID, ...REFS],
    ...[
      'ERR x',
      'ACK ',
      'NAK',
      'packfile\n',
      'version 1\n',
      '# service=',
      'shallow ',
      '^{}',
      '.have',
      'ng ',
      'ok ',
    ],
    ...['ssh://', 'user@', 'host:', 'https://', 'file:///', '%00', '[::1]', '-'],
  ],

  seeds: () =>
    [
      [...V2, ...lines(`${OID} ${REFS[0]}`), FLUSH_PKT, ...lines('packfile'), ...PACK],
      [...V2, FLUSH_PKT, ...lines('shallow-info'), DELIMITER, ...lines('packfile'), ...PACK],
      [...V0, ...lines('NAK'), ...PACK],
      [
        ...lines('# service=git-upload-pack'),
        FLUSH_PKT,
        ...V0,
        ...lines(`ACK ${OID}`, `ACK ${OID}`),
        ...PACK,
      ],
      [...V0, encodePkt(Buffer.concat([Buffer.from([1]), REPORT])), FLUSH_PKT],
      [Buffer.from('ssh://user@[::1]:22/path%20x')],
      [Buffer.from('https://user:password@host/path')],
    ].map((parts) => Buffer.concat(parts)),

  async run(data) {
    const reader = new PktReader(chunksOf(data, data.length % 2 === 0 ? 7 : data.length || 1))
    const url = attempt(() => parseRemoteUrl(data.toString()))
    if (url?.kind === 'ssh') assert.doesNotMatch(`${url.host}\n${url.path}`, /^-/m)
    const greeting = await readGreeting(reader)
    if (greeting.version === 2) {
      for await (const { oid } of readLsRefs(reader)) assert.match(oid, /^[0-9a-f]{40}$/)
      await collect(readFetch(greeting, reader))
      return
    }
    const packages = await RememberedPackages.read(greeting.refs)
    for (const each of packages) assert.deepEqual(packages.get(each.hash), each)
    const rest = await collect(reader.rest())
    await settled(() => collect(readFetch(greeting, new PktReader(chunksOf(rest, 64)))))
    await settled(() => readPushReport(new PktReader(chunksOf(rest, 64)), COMMANDS))
  },
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof GachixError)) throw error
    return undefined
  }
}

/** So that a refusal of one parser does not keep the next from its turn. */
async function settled(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof GachixError)) throw error
  }
}
