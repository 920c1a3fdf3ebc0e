import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { crc32 } from 'node:zlib'
import { throwIfAborted } from '../inflate.ts'
import { CorruptPackError, CorruptPackIndexError, MalformedObjectError } from '../object-errors.ts'
import { createObjectHash, type Oid } from '../oid.ts'
import { isDelta, PACK_HEADER_BYTES, PACK_TRAILER_BYTES } from './format.ts'
import { Pack } from './pack.ts'
import { PackedObjects } from './packed-objects.ts'

const MEBIBYTE = 1024 * 1024
/** Problems listed in a report; a pack with more is beyond repair and the rest says nothing new. */
const MAX_PROBLEMS = 100

/** Something wrong with a pack; of one object where `oid` is given. */
export interface PackProblem {
  readonly oid?: Oid
  /** Where the object's entry begins in the pack. */
  readonly offset?: number
  readonly message: string
}

/** What `verifyPack` found. */
export interface PackReport {
  readonly id: string
  readonly objects: number
  /** How many of the objects are deltas. */
  readonly deltas: number
  /** Length of the pack file in bytes. */
  readonly size: number
  /** At most 100; a sound pack has none. */
  readonly problems: readonly PackProblem[]
}

export interface VerifyPackOptions {
  signal?: AbortSignal
  /** Where bases of large deltas are put meanwhile; the system's directory for temporary files by default. */
  tempDir?: string
}

/**
 * Checks a pack (`….pack`) against its checksum and its index: every entry's CRC-32, size and object id, and that the
 * entries fill the file. Memory is bounded; the time is that of inflating everything and of resolving every delta.
 *
 * @throws CorruptPackError, CorruptPackIndexError when pack or index cannot even be opened
 * @throws AbortedError
 */
export async function verifyPack(path: string, options: VerifyPackOptions = {}): Promise<PackReport> {
  const pack = await Pack.open(path)
  try {
    const problems: PackProblem[] = []
    const deltas = await checkRaw(pack, problems, options.signal)
    const reader = new PackedObjects({
      cacheSize: 64 * MEBIBYTE,
      memoryLimit: 16 * MEBIBYTE,
      spoolLimit: Number.MAX_SAFE_INTEGER,
      tempDir: options.tempDir ?? tmpdir(),
    })
    for (const position of pack.index.packOrder()) {
      if (problems.length >= MAX_PROBLEMS) break
      throwIfAborted(options.signal)
      const offset = pack.index.offsetAt(position)
      const oid = pack.index.oidAt(position)
      try {
        const found = await hashOf(reader, pack, offset, options.signal)
        if (found !== oid) problems.push({ oid, offset, message: `its content is that of ${found}` })
      } catch (error) {
        problems.push({ oid, offset, message: problemOf(error) })
      }
    }
    return { id: pack.id, objects: pack.index.count, deltas, size: pack.size, problems }
  } finally {
    pack.close()
  }
}

/** One pass over the file: the pack's checksum, each entry's CRC and header. Returns the number of deltas. */
async function checkRaw(
  pack: Pack,
  problems: PackProblem[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const checksum = createHash('sha1')
  let deltas = 0
  for await (const chunk of pack.readRange(0, PACK_HEADER_BYTES)) checksum.update(chunk)
  const report = (problem: PackProblem): void => {
    if (problems.length < MAX_PROBLEMS) problems.push(problem)
  }
  let end = PACK_HEADER_BYTES
  for (const position of pack.index.packOrder()) {
    throwIfAborted(signal)
    const offset = pack.index.offsetAt(position)
    if (offset !== end) report({ offset: end, message: 'bytes that belong to no entry' })
    const length = pack.index.lengthAt(position)
    let crc = 0
    for await (const chunk of pack.readRange(offset, length)) {
      checksum.update(chunk)
      crc = crc32(chunk, crc)
    }
    end = offset + length
    const oid = pack.index.oidAt(position)
    if (crc !== pack.index.crc32At(position))
      report({ oid, offset, message: 'its CRC-32 is not that of the index' })
    try {
      if (isDelta(pack.entryHeader(offset).type)) deltas++
    } catch (error) {
      report({ oid, offset, message: problemOf(error) })
    }
  }
  if (end !== pack.size - PACK_TRAILER_BYTES)
    report({ offset: end, message: 'bytes that belong to no entry' })
  if (checksum.digest('hex') !== pack.index.packChecksum) report({ message: "the pack's checksum is wrong" })
  return deltas
}

async function hashOf(reader: PackedObjects, pack: Pack, offset: number, signal?: AbortSignal): Promise<Oid> {
  const { type, size, chunks } = reader.stream(pack, offset, signal)
  const hash = createObjectHash(type, size)
  for await (const chunk of chunks) hash.update(chunk)
  return hash.digest('hex')
}

/** The message of damage; anything else is thrown on. */
function problemOf(error: unknown): string {
  if (error instanceof CorruptPackError) return error.problem
  if (error instanceof MalformedObjectError || error instanceof CorruptPackIndexError) return error.message
  throw error
}
