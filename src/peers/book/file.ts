/** The book on disk: one small JSON file, replaced as a whole. */
import * as z from 'zod'
import { writeFileAtomically } from '../../util/atomic-file.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { readBounded } from '../../util/read-bounded.ts'
import { MAX_ADDRESS_LENGTH } from '../address.ts'
import { PeerBookError } from '../errors.ts'
import { MAX_ADDRESSES, newRecord, type PeerRecord } from './record.ts'

/** Bytes of the file: as many peers as the book holds, each with its longest addresses, fit. */
const MAX_BOOK_FILE_SIZE = 4 * 1024 * 1024

const time = z.number().nonnegative().optional()
const peer = z.object({
  id: z.string().max(128).optional(),
  name: z.string().max(64).optional(),
  origin: z.enum(['configured', 'added', 'learnt']),
  addresses: z.array(z.string().max(MAX_ADDRESS_LENGTH)).max(MAX_ADDRESSES),
  lastSeen: time,
  penalty: z.number().nonnegative().default(0),
  penaltyAt: z.number().nonnegative().default(0),
  offence: z.string().max(512).optional(),
  bannedUntil: time,
})
const book = z.object({ version: z.literal(1), peers: z.array(peer) })

/**
 * The peers that the file names; none when there is no file.
 *
 * @throws PeerBookError
 */
export function readBookFile(path: string): PeerRecord[] {
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(path, MAX_BOOK_FILE_SIZE)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return []
    throw new PeerBookError(`cannot read the known peers from ${path}: ${errorMessage(error)}`, {
      cause: error,
    })
  }
  try {
    if (bytes === undefined) throw new RangeError('it is too large')
    const { peers } = book.parse(JSON.parse(Buffer.from(bytes).toString()))
    return peers.map(({ id, ...facts }) => ({
      ...newRecord(facts.origin, facts.addresses, id),
      ...withoutUndefined(facts),
    }))
  } catch (error) {
    throw new PeerBookError(
      `${path}, which names the known peers, is damaged; remove it, and add the peers again (${errorMessage(error)})`,
      { cause: error },
    )
  }
}

/** @throws PeerBookError */
export async function writeBookFile(path: string, records: readonly PeerRecord[]): Promise<void> {
  const peers = records.map((record) => peer.parse(record))
  try {
    await writeFileAtomically(path, `${JSON.stringify({ version: 1, peers }, undefined, 2)}\n`, {
      mode: 0o600,
      replace: true,
    })
  } catch (error) {
    throw new PeerBookError(`cannot write the known peers to ${path}: ${errorMessage(error)}`, {
      cause: error,
    })
  }
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> }

function withoutUndefined<T extends object>(value: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Partial<
    Defined<T>
  >
}
