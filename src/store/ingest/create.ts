import { availableParallelism } from 'node:os'
import type { DeflatePool } from '../../git/deflate/pool.ts'
import type { ObjectDatabase } from '../../git/object-database.ts'
import type { Oid } from '../../git/oid.ts'
import type { FinishedPack } from '../../git/pack/finish.ts'
import { PackWriter } from '../../git/pack/writer.ts'
import type { RefBatch } from '../../git/refs/journal-format.ts'
import { Lane } from './lane.ts'
import { Publisher } from './publisher.ts'
import { PackIngestSession } from './session.ts'

/** What an ingest session needs of the store. */
export interface IngestComponents {
  readonly pool: DeflatePool
  /** zlib level of trees, commits and narinfos. */
  readonly level: number
  readonly tmpDir: string
  readonly packDir: string
  readonly spliceDir: string
  readonly database: ObjectDatabase
  readonly isPresent: (hash: string) => boolean
  readonly commitOf: (hash: string) => Oid | undefined
  readonly prepare: (tree: Oid) => Promise<void>
  readonly publish: (batch: RefBatch) => Promise<void>
}

/** While one package waits for its source or its disk, the others deflate. */
const LANES = availableParallelism()

/** Puts a session together. */
export function createIngestSession(components: IngestComponents): PackIngestSession {
  const { pool, level, tmpDir, packDir, spliceDir, database } = components
  let bytesWritten = 0
  const onPack = async (pack: FinishedPack): Promise<void> => {
    bytesWritten += pack.size
    await database.addPack(pack.path)
  }
  const writerOptions = { pool, level, tmpDir, has: (oid: Oid) => database.has(oid) }
  const publisher = new Publisher({
    commitOf: components.commitOf,
    openPack: () => PackWriter.create(writerOptions),
    completePack: async (writer) => {
      const pack = await writer.finish(packDir, spliceDir)
      if (pack !== undefined) await onPack(pack)
    },
    prepare: components.prepare,
    publish: components.publish,
  })
  return new PackIngestSession({
    lanes: Array.from({ length: LANES }, () => new Lane({ ...writerOptions, packDir, spliceDir, onPack })),
    publisher,
    isPresent: components.isPresent,
    bytesWritten: () => bytesWritten,
  })
}
