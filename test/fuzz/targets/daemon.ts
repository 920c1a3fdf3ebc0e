/** Client of the Nix daemon: the input is all that the daemon says. */
import { duplexPair } from 'node:stream'
import { DaemonClient } from '../../../src/ingest/daemon/client.ts'
import { GachixError } from '../../../src/util/errors.ts'
import {
  ERROR,
  errorRecord,
  fileNar,
  LAST,
  pathInfoAnswer,
  str,
  strs,
  u64,
} from '../../support/daemon-peer.ts'
import type { FuzzTarget } from '../target.ts'

const PATH = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-hello-1.0'
/** Records that a daemon sends while it works (`STDERR_NEXT`, activities and their results). */
const NEXT = u64(0x6f6c6d67)
const START_ACTIVITY = u64(0x53545254)
const RESULT = u64(0x52534c54)
const STOP_ACTIVITY = u64(0x53544f50)

export const target: FuzzTarget = {
  name: 'daemon',
  maxLength: 8192,
  tokens: [
    ...[
      LAST,
      ERROR,
      NEXT,
      START_ACTIVITY,
      RESULT,
      STOP_ACTIVITY,
      u64(0),
      u64(1),
      u64(2 ** 32),
      u64(0xffffffffffffffffn),
    ],
    ...[
      str(''),
      str('text'),
      str(PATH),
      strs(),
      strs('a', 'b'),
      u64(0x6478696f),
      u64(256 + 38),
      errorRecord('no'),
    ],
  ],

  seeds: () =>
    [21, 26, 33, 35, 38].flatMap((minor) => [
      conversation(minor, [
        pathInfoAnswer({ references: [PATH], signatures: ['a:b'] }),
        Buffer.concat([LAST, strs(PATH)]),
        Buffer.concat([LAST, fileNar('content')]),
      ]),
      conversation(minor, [
        Buffer.concat([NEXT, str('working\n'), activity(), LAST, u64(0)]),
        Buffer.concat([LAST, strs()]),
        Buffer.concat([LAST, errorRecord('no such path', ['because', 'of that'])]),
      ]),
    ]),

  async run(data) {
    const [ours, theirs] = duplexPair()
    theirs.on('error', () => {})
    theirs.resume()
    const pieces = data.length % 3 === 0 ? 5 : Math.max(1, data.length)
    for (let at = 0; at < data.length; at += pieces) theirs.write(data.subarray(at, at + pieces))
    theirs.end()
    let client: DaemonClient | undefined
    let refused: GachixError | undefined
    try {
      client = await DaemonClient.open(async () => ours, {
        connectTimeout: 5000,
        idleTimeout: 5000,
        onMessage: () => {},
      })
      await client.queryPathInfo(PATH)
      await client.queryValidPaths([PATH, PATH])
      for await (const chunk of client.narFromPath(PATH))
        if (chunk.length === 0) throw new Error('an empty chunk')
    } catch (error) {
      if (!(error instanceof GachixError)) throw error
      refused = error
    } finally {
      client?.close()
      ours.destroy()
      theirs.destroy()
    }
    if (refused !== undefined) throw refused
  },
}

function activity(): Buffer {
  const fields = [u64(1), u64(1), str('field')]
  return Buffer.concat([
    ...[START_ACTIVITY, u64(1), u64(0), u64(105), str('building'), ...fields, u64(0)],
    ...[RESULT, u64(1), u64(101), u64(2), u64(0), u64(7), u64(1), str('line')],
    ...[STOP_ACTIVITY, u64(1)],
  ])
}

function conversation(minor: number, answers: readonly Buffer[]): Buffer {
  return Buffer.concat([
    ...[u64(0x6478696f), u64(256 + minor)],
    ...(minor >= 38 ? [strs('feature')] : []),
    ...(minor >= 33 ? [str('2.99-test')] : []),
    ...(minor >= 35 ? [u64(1)] : []),
    LAST,
    ...answers,
  ])
}
