import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Turns } from '../../util/turns.ts'
import type { SpliceRecord } from '../splice/record.ts'
import { CopyOutput, CopySource, copyEntry } from './copy.ts'
import { type FinishedPack, finishPack, type PackEntry } from './finish.ts'
import type { Pack } from './pack.ts'

/** An entry to copy. */
export interface ExtractedEntry {
  readonly pack: Pack
  /** Position in the pack's index. */
  readonly position: number
  readonly splice: SpliceRecord
}

export interface ExtractOptions {
  /** Where the unfinished pack lies; on the file system of the repository. */
  tmpDir: string
  /** The repository's `objects/pack`. */
  packDir: string
  /** Where splice sidecars lie. */
  spliceDir: string
  signal?: AbortSignal | undefined
}

/**
 * Writes a pack of the given entries, in their order, each as it lies in its own pack. None may be a delta.
 *
 * @throws UnmergeablePackError when an entry is a delta or damaged
 * @throws AbortedError; whatever is thrown, nothing is left behind
 */
export async function extractEntries(
  entries: Iterable<ExtractedEntry>,
  options: ExtractOptions,
): Promise<FinishedPack> {
  const { tmpDir, packDir, spliceDir, signal } = options
  const path = join(tmpDir, `extract-${process.pid}-${crypto.randomUUID()}.tmp`)
  const file = await open(path, 'wx+', 0o600)
  try {
    const copied = await copyAll(entries, file, signal)
    return await finishPack({ file, path, packDir, spliceDir, ...copied })
  } catch (error) {
    await file.close().catch(() => {})
    await unlink(path).catch(() => {})
    throw error
  }
}

async function copyAll(
  entries: Iterable<ExtractedEntry>,
  file: FileHandle,
  signal: AbortSignal | undefined,
): Promise<{ size: number; entries: PackEntry[] }> {
  using output = new CopyOutput(file)
  const sources = new Map<Pack, CopySource>()
  const copied: PackEntry[] = []
  const turns = new Turns(signal)
  try {
    for (const { pack, position, splice } of entries) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      copied.push({
        oid: pack.index.oidAt(position),
        offset: output.position,
        crc32: pack.index.crc32At(position),
        splice,
      })
      await copyEntry(pack, position, sourceOf(pack, sources), output, signal)
    }
    await output.flush()
    return { size: output.position, entries: copied }
  } finally {
    for (const [pack, source] of sources) close(pack, source)
  }
}

/** Windows kept at a time: each takes 256 KiB, and what lies together was received together. */
const MAX_SOURCES = 8

/** The window on a pack, which is kept open as long as it has one. */
function sourceOf(pack: Pack, sources: Map<Pack, CopySource>): CopySource {
  const known = sources.get(pack)
  if (known !== undefined) return known
  const [oldest] = sources
  if (sources.size === MAX_SOURCES && oldest !== undefined) {
    sources.delete(oldest[0])
    close(...oldest)
  }
  pack.retain()
  const source = new CopySource(pack)
  sources.set(pack, source)
  return source
}

function close(pack: Pack, source: CopySource): void {
  source[Symbol.dispose]()
  pack.release()
}
