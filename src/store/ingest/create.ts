import { availableParallelism } from 'node:os'
import type { DeflatePool } from '../../git/deflate/pool.ts'
import type { ObjectDatabase } from '../../git/object-database.ts'
import type { Oid } from '../../git/oid.ts'
import type { FinishedPack } from '../../git/pack/finish.ts'
import { PackWriter, type PackWriterOptions } from '../../git/pack/writer.ts'
import type { RefBatch } from '../../git/refs/journal-format.ts'
import type { StoredGzipFacts } from '../facts.ts'
import { Lane } from './lane.ts'
import { Publisher } from './publisher.ts'
import { PackIngestSession } from './session.ts'

/** What ingest sessions and quarantines need of the store. */
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
  readonly prepare: (tree: Oid, gzip: StoredGzipFacts | undefined) => Promise<void>
  readonly publish: (batch: RefBatch) => Promise<void>
}

/** While one package waits for its source or its disk, the others deflate. */
const LANES = availableParallelism()

/** Told of every pack that is complete and known. */
export type PackHandler = (pack: FinishedPack) => Promise<void>

/** What publishes packages whose contents are stored. */
export function createPublisher(components: IngestComponents, onPack: PackHandler): Publisher {
  const { packDir, spliceDir } = components
  return new Publisher({
    commitOf: components.commitOf,
    openPack: () => PackWriter.create(writerOptions(components)),
    completePack: async (writer) => {
      const pack = await writer.finish(packDir, spliceDir)
      if (pack !== undefined) await onPack(pack)
    },
    prepare: components.prepare,
    publish: components.publish,
  })
}

/** Puts a session together. */
export function createIngestSession(components: IngestComponents): PackIngestSession {
  const { packDir, spliceDir, database } = components
  let bytesWritten = 0
  const onPack = async (pack: FinishedPack): Promise<void> => {
    bytesWritten += pack.size
    await database.addPack(pack.path)
  }
  const lanes: Lane[] = []
  const laneOptions = { ...writerOptions(components), packDir, spliceDir, onPack, siblings: () => lanes }
  for (let i = 0; i < LANES; i++) lanes.push(new Lane(laneOptions))
  return new PackIngestSession({
    lanes,
    publisher: createPublisher(components, onPack),
    isPresent: components.isPresent,
    bytesWritten: () => bytesWritten,
  })
}

function writerOptions({ pool, level, tmpDir, database }: IngestComponents): PackWriterOptions {
  return { pool, level, tmpDir, has: (oid) => database.has(oid) }
}
