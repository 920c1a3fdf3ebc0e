/** Taking in a pack: whatever comes is refused or leaves objects that are what their ids say. */
import { hash } from 'node:crypto'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { encodeEntryHeader, encodeOfsDistance } from '../../../src/git/pack/format.ts'
import { GachixError } from '../../../src/util/errors.ts'
import { copyDelta, ofsDelta, packOf, refDelta, whole } from '../../support/pack-maker.ts'
import { chunksOf } from '../../support/packages.ts'
import { ReceivingPlace } from '../../support/receiving.ts'
import type { FuzzTarget } from '../target.ts'

const LIMITS = { objects: 50, packBytes: 16_384, inflatedBytes: 4 * 1024 * 1024 }
const BASE = Buffer.alloc(1000, 'base of deltas ')

let place: ReceivingPlace | undefined

export const target: FuzzTarget = {
  name: 'receive',
  maxLength: 8192,
  tokens: [
    encodeEntryHeader('blob', 0),
    encodeEntryHeader('ofs-delta', 8),
    encodeEntryHeader('blob', 2 ** 40),
    encodeOfsDistance(1),
    deflateSync(Buffer.alloc(0)),
    deflateSync(copyDelta(1000, 2000)),
    // what the end of a spliceable stream looks like
    Buffer.from('0000ffff0300', 'hex'),
    Buffer.from('789c', 'hex'),
    Buffer.from(hash('sha1', Buffer.concat([Buffer.from('blob 1000\0'), BASE]), 'hex'), 'hex'),
  ],

  seeds: () => [
    packOf([]),
    packOf([whole('blob', Buffer.from('hello\n')), whole('tree', Buffer.alloc(0))]),
    packOf([
      whole('blob', BASE),
      refDelta(hash('sha1', Buffer.concat([Buffer.from('blob 1000\0'), BASE]), 'hex'), copyDelta(1000, 900)),
      ofsDelta(0, copyDelta(1000, 2000)),
      ofsDelta(2, copyDelta(2000, 500)),
    ]),
    // large enough for the streaming ways
    packOf([
      whole('blob', Buffer.alloc(400_000, 'long and dull ')),
      ofsDelta(0, copyDelta(400_000, 300_000)),
    ]),
  ],

  async run(data, { directory }) {
    place ??= new ReceivingPlace(join(directory, 'place'))
    place.clear()
    let refused: unknown
    try {
      // The checksum is made to fit, so that what is behind it is reached.
      const body = data.subarray(0, Math.max(0, data.length - 20))
      const pack = Buffer.concat([body, hash('sha1', body, 'buffer')])
      await place.receive(chunksOf(pack, 1000), LIMITS)
    } catch (error) {
      if (!(error instanceof GachixError)) throw error
      refused = error
    }
    await place.check()
    if (refused !== undefined) throw refused
  },
}
