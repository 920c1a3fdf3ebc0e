/** Loose objects: one zlib file each, below `objects/xx/`. */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { DirectoryWatch } from './directory-watch.ts'
import {
  checkDeclaredSize,
  inflateExact,
  inflatePrefix,
  inflateStream,
  STREAM_CHUNK_SIZE,
  SYNC_INFLATE_SIZE,
  throwIfAborted,
} from './inflate.ts'
import { MalformedObjectError, ObjectTooLargeError } from './object-errors.ts'
import { type GitObjectType, isGitObjectType, isOid, type Oid } from './oid.ts'
import type { ObjectData, ObjectStream } from './pack/packed-objects.ts'

/** `commit`, a space, a size of up to 16 digits, NUL: no header is longer. */
const MAX_HEADER_SIZE = 32
/** Compressed bytes that surely hold a header. */
const FIRST_READ = 4096

interface Opened {
  readonly file: FileHandle
  readonly fileSize: number
  /** The first bytes of the file. */
  readonly start: Buffer
  readonly type: GitObjectType
  readonly size: number
  readonly headerLength: number
}

/** The loose objects of one object directory. Their names are kept in memory. */
export class LooseObjects {
  readonly path: string
  readonly #root: DirectoryWatch
  readonly #fans = new Map<string, { watch: DirectoryWatch; oids: Set<Oid> }>()

  /** @param path the object directory (`.git/objects`); empty until `refresh` has been called */
  constructor(path: string) {
    this.path = path
    this.#root = new DirectoryWatch(path)
  }

  /** Lists the directories that have changed. Resolves to whether there is any change. */
  async refresh(): Promise<boolean> {
    const names = await this.#root.changes()
    let changed = false
    if (names !== undefined) {
      const fans = new Set(names.filter((name) => /^[0-9a-f]{2}$/.test(name)))
      for (const name of this.#fans.keys()) if (!fans.has(name)) changed = this.#fans.delete(name)
      for (const name of fans) {
        if (!this.#fans.has(name)) {
          this.#fans.set(name, { watch: new DirectoryWatch(join(this.path, name)), oids: new Set() })
        }
      }
    }
    for (const [fan, known] of this.#fans) {
      const files = await known.watch.changes()
      if (files === undefined) continue
      const oids = new Set(files.map((file) => fan + file).filter(isOid))
      if (oids.size !== known.oids.size || [...oids].some((oid) => !known.oids.has(oid))) changed = true
      known.oids = oids
    }
    return changed
  }

  has(oid: Oid): boolean {
    return this.#fans.get(oid.slice(0, 2))?.oids.has(oid) ?? false
  }

  /** All ids, in no order. */
  *oids(): Generator<Oid> {
    for (const { oids } of this.#fans.values()) yield* oids
  }

  /** The file that holds, or would hold, an object. */
  pathOf(oid: Oid): string {
    return join(this.path, oid.slice(0, 2), oid.slice(2))
  }

  /** Type and size, without the content. @throws MalformedObjectError */
  async header(oid: Oid): Promise<{ type: GitObjectType; size: number }> {
    const { file, type, size } = await this.#open(oid)
    await file.close()
    return { type, size }
  }

  /** The object in memory. @throws ObjectTooLargeError, MalformedObjectError */
  async read(oid: Oid, maxSize: number, signal?: AbortSignal): Promise<ObjectData> {
    const opened = await this.#open(oid)
    const { file, fileSize, type, size, headerLength } = opened
    try {
      if (size > maxSize) throw new ObjectTooLargeError('an object', size, maxSize)
      if (fileSize <= SYNC_INFLATE_SIZE) {
        const raw = fileSize <= opened.start.length ? opened.start : await readPart(file, fileSize, 0)
        return { type, data: (await inflateExact(raw, headerLength + size)).subarray(headerLength) }
      }
      const parts: Buffer[] = []
      for await (const part of contentOf(opened, signal)) parts.push(part)
      return { type, data: Buffer.concat(parts) }
    } finally {
      await file.close()
    }
  }

  /** The object piece by piece; its file is opened when the first piece is asked for. @throws MalformedObjectError */
  async stream(oid: Oid, signal?: AbortSignal): Promise<ObjectStream> {
    return { ...(await this.header(oid)), chunks: this.#chunks(oid, signal) }
  }

  async *#chunks(oid: Oid, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    const opened = await this.#open(oid)
    try {
      yield* contentOf(opened, signal)
    } finally {
      await opened.file.close()
    }
  }

  async #open(oid: Oid): Promise<Opened> {
    const file = await open(this.pathOf(oid), 'r')
    try {
      const { size: fileSize } = await file.stat()
      const start = await readPart(file, Math.min(FIRST_READ, fileSize), 0)
      const header = parseHeader(inflatePrefix(start))
      checkDeclaredSize(header.size, fileSize)
      return { file, fileSize, start, ...header }
    } catch (error) {
      await file.close()
      throw error
    }
  }
}

/** Parses `type size NUL` at the beginning of an inflated loose object. */
function parseHeader(data: Buffer): { type: GitObjectType; size: number; headerLength: number } {
  const end = data.subarray(0, MAX_HEADER_SIZE).indexOf(0)
  const match = /^([a-z]+) (0|[1-9][0-9]*)$/.exec(data.toString('latin1', 0, Math.max(end, 0)))
  const [, type = '', digits = ''] = match ?? []
  const size = Number(digits)
  if (!isGitObjectType(type) || !Number.isSafeInteger(size)) {
    throw new MalformedObjectError('it does not begin with a type and a size')
  }
  return { type, size, headerLength: end + 1 }
}

async function* contentOf(opened: Opened, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  let skip = opened.headerLength
  const raw = fileChunks(opened.file, opened.fileSize)
  for await (const chunk of inflateStream(raw, opened.headerLength + opened.size, signal)) {
    const content = chunk.subarray(Math.min(skip, chunk.length))
    skip -= chunk.length - content.length
    if (content.length > 0) yield content
  }
  throwIfAborted(signal)
}

async function* fileChunks(file: FileHandle, size: number): AsyncGenerator<Buffer> {
  for (let position = 0; position < size; position += STREAM_CHUNK_SIZE) {
    yield await readPart(file, Math.min(STREAM_CHUNK_SIZE, size - position), position)
  }
}

async function readPart(file: FileHandle, length: number, position: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
