import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { release } from '../../util/release.ts'
import { inTurns, Turns } from '../../util/turns.ts'
import { ifPresent, syncDirectory } from '../durable-file.ts'
import type { Oid } from '../oid.ts'
import type { SpliceRecord } from '../splice/record.ts'
import { writeSidecar } from '../splice/sidecar.ts'
import { encodePackHeader, PACK_HEADER_BYTES } from './format.ts'
import { encodingSteps, type PackIndexColumns, type PackIndexEntry } from './index-writer.ts'

const READ_SIZE = 256 * 1024

/** What the index and the sidecar need to know of an entry. */
export interface PackEntry {
  readonly oid: Oid
  readonly offset: number
  readonly crc32: number
  readonly splice: SpliceRecord
}

/** A file of entries, and where the pack goes. */
interface UnfinishedPack {
  /** Open for reading and writing; closed when this returns or throws. */
  file: FileHandle
  path: string
  /** Bytes of header and entries, that is without the checksum to come. */
  size: number
  /** The repository's `objects/pack`. */
  packDir: string
  /** Where splice sidecars lie. */
  spliceDir: string
}

export interface PackToFinish extends UnfinishedPack {
  /** What the file holds, in any order. */
  entries: readonly PackEntry[]
}

export interface SortedPackToFinish extends UnfinishedPack {
  /** What the file holds, in the order of ids. */
  objects: readonly PackIndexEntry[] | PackIndexColumns
  /** The splice record of each of them. */
  records: Iterable<SpliceRecord>
  /** Time of modification that the pack gets instead of now, in milliseconds: it says whose copies are found first. */
  mtimeMs?: number
  /** The pack's checksum, for who has written the header and knows it. */
  checksum?: Buffer
  /** Ends the work as long as nothing of the pack is visible. */
  signal?: AbortSignal | undefined
}

export interface FinishedPack {
  /** The pack's checksum, 40 hex digits. */
  id: string
  /** Path of the `.pack`. */
  path: string
  /** Bytes of pack and index. */
  size: number
  objects: number
}

/**
 * Turns a file of entries into a pack of the repository: object count, checksum, `.idx` (version 2) and sidecar. All is
 * synced before the first rename and the `.idx`, which makes the pack visible to git, comes last: a crash leaves the
 * whole pack or none.
 */
export async function finishPack(pack: PackToFinish): Promise<FinishedPack> {
  const objects = pack.entries.toSorted((a, b) => (a.oid < b.oid ? -1 : a.oid > b.oid ? 1 : 0))
  return await finishSortedPack({ ...pack, objects, records: objects.map((entry) => entry.splice) })
}

/** As `finishPack`, for who knows the order of ids and keeps the facts of many objects in less memory. */
export async function finishSortedPack(pack: SortedPackToFinish): Promise<FinishedPack> {
  const { file, mtimeMs } = pack
  const count = 'count' in pack.objects ? pack.objects.count : pack.objects.length
  let checksum: Buffer
  try {
    if (pack.checksum === undefined) await file.write(encodePackHeader(count), 0, PACK_HEADER_BYTES, 0)
    checksum = pack.checksum ?? (await checksumOf(file, pack.size, pack.signal))
    await file.write(checksum, 0, checksum.length, pack.size)
    await file.chmod(0o444)
    if (mtimeMs !== undefined) await file.utimes(mtimeMs / 1000, mtimeMs / 1000)
    await file.sync()
  } finally {
    await file.close()
  }
  const id = checksum.toString('hex')
  const target = join(pack.packDir, `pack-${id}`)
  const index = await inTurns(encodingSteps(pack.objects, checksum), new Turns(pack.signal))
  const indexPath = `${pack.path}.idx`
  let existed = true
  try {
    await writeSynced(indexPath, index)
    await writeSidecar(join(pack.spliceDir, `${id}.splice`), id, pack.records)
    existed = await exists(`${target}.pack`)
    await rename(pack.path, `${target}.pack`)
    await rename(indexPath, `${target}.idx`)
    await syncDirectory(pack.packDir)
  } catch (error) {
    await unlink(indexPath).catch(() => {})
    // Without its index a pack is of no use; one of the same name and so the same objects was there before.
    if (!existed && !(await exists(`${target}.idx`))) await unlink(`${target}.pack`).catch(() => {})
    throw error
  }
  const indexSize = index.reduce((sum, part) => sum + part.length, 0)
  return { id, path: `${target}.pack`, size: pack.size + checksum.length + indexSize, objects: count }
}

/** The object count stands in the header and is known last, so the checksum is taken over the finished file. */
async function checksumOf(file: FileHandle, size: number, signal?: AbortSignal): Promise<Buffer> {
  const hash = createHash('sha1')
  const buffer = Buffer.allocUnsafeSlow(Math.min(READ_SIZE, size))
  const turns = new Turns(signal)
  for (let position = 0; position < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - position), position)
    if (bytesRead === 0) throw new Error('the pack is shorter than what was written to it')
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
    await turns.next()
  }
  release(buffer)
  return hash.digest()
}

async function writeSynced(path: string, parts: readonly Buffer[]): Promise<void> {
  const file = await open(path, 'wx', 0o444)
  try {
    for (const part of parts) await file.writeFile(part)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function exists(path: string): Promise<boolean> {
  return (await ifPresent(stat(path))) !== undefined
}
