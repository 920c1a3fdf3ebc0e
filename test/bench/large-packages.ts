/** A package of very many files and one of a very large file, made as they are added: neither is ever in memory. */
import { createHash } from 'node:crypto'
import { NarFramer } from '../../src/nix/nar/writer.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { storePathOf } from '../support/memory-source.ts'

/** Files in one folder. */
const FOLDER = 500
const PIECE_BYTES = 256 * 1024
const NUMBER_DIGITS = 9

export interface LargePackage {
  readonly name: string
  /** The NAR, as often as it is asked for. */
  readonly nar: () => AsyncIterable<Uint8Array>
}

/** A package of `count` small files in folders of 500. */
export function manyFiles(count: number): LargePackage {
  return { name: `${count}-files`, nar: () => narOfFiles(count) }
}

/** A package of one file of `size` bytes, which deflate to a quarter. */
export function largeFile(size: number): LargePackage {
  return { name: `file-of-${size}`, nar: () => narOfFile(size) }
}

/** Adds packages to a new repository. @returns what is known of each */
export async function addPackages(path: string, packages: readonly LargePackage[]): Promise<PathInfo[]> {
  const infos: PathInfo[] = []
  const store = await GitPackageStore.open({ path, compressionLevel: 1 })
  try {
    for (const { name, nar } of packages) {
      const hash = createHash('sha256')
      let narSize = 0
      for await (const piece of nar()) {
        hash.update(piece)
        narSize += piece.length
      }
      const info: PathInfo = {
        storePath: storePathOf(name),
        narHash: { algorithm: 'sha256', digest: hash.digest() },
        narSize,
        references: [],
        signatures: [],
      }
      const session = store.ingest()
      await session.add(info, nar())
      await session.finish()
      infos.push(info)
    }
  } finally {
    await store.close()
  }
  return infos
}

async function* narOfFiles(count: number): AsyncGenerator<Uint8Array> {
  const framer = new NarFramer()
  framer.start()
  framer.directoryOpen()
  for (let first = 0; first < count; first += FOLDER) {
    framer.entryOpen(nameOf('folder', first))
    framer.directoryOpen()
    const parts: Uint8Array[] = []
    for (let number = first; number < Math.min(count, first + FOLDER); number++) {
      const contents = Buffer.from(`file ${number}\n${`${number} `.repeat(number % 50)}\n`)
      framer.entryOpen(nameOf('file', number))
      framer.fileOpen(false, contents.length)
      parts.push(framer.take(), contents)
      framer.fileClose(contents.length)
      framer.entryClose()
    }
    framer.directoryClose()
    framer.entryClose()
    yield Buffer.concat(parts)
    yield framer.take()
  }
  framer.directoryClose()
  yield framer.take()
}

async function* narOfFile(size: number): AsyncGenerator<Uint8Array> {
  const framer = new NarFramer()
  framer.start()
  framer.fileOpen(false, size)
  yield framer.take()
  const piece = Buffer.alloc(PIECE_BYTES)
  // Bytes that deflate well, but not to nothing: two random bits of each, as a generator that repeats makes them.
  for (let at = 0, state = 1; at < piece.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    piece[at] = 97 + (state >>> 30)
  }
  for (let at = 0; at < size; at += piece.length) {
    piece.writeUInt32BE(at / piece.length)
    // The receiver may keep a piece until it has deflated it.
    yield Buffer.from(piece.subarray(0, Math.min(piece.length, size - at)))
  }
  framer.fileClose(size)
  yield framer.take()
}

function nameOf(kind: string, number: number): Buffer {
  return Buffer.from(`${kind}-${String(number).padStart(NUMBER_DIGITS, '0')}`)
}
