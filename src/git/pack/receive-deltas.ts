import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { readFully, writeFully } from '../durable-file.ts'
import { inflateExact, inflateStream, STREAM_CHUNK_SIZE, throwIfAborted } from '../inflate.ts'
import type { ObjectDatabase } from '../object-database.ts'
import { MalformedObjectError } from '../object-errors.ts'
import type { GitObjectType, Oid } from '../oid.ts'
import { Spool } from '../spool.ts'
import { applyDelta, applyDeltaStream, type DeltaBase } from './delta.ts'
import { MAX_DELTA_DEPTH } from './packed-objects.ts'
import { PackInvalidError } from './receive-errors.ts'
import type { PackWriter } from './writer.ts'

/** Objects up to this size are held in memory while deltas are applied, larger ones in a file. */
const MEMORY_LIMIT = 16 * 1024 * 1024
/** Bytes of bases that are held at a time; what builds on further ones waits for another round. */
const HELD_LIMIT = 64 * 1024 * 1024

/** A delta that waits for its base. */
export interface PendingDelta {
  /** Where it began in the pack as it came. */
  readonly origin: number
  /** Where its base began there, or the base's id. */
  readonly base: number | Oid
  /** Length of the inflated delta. */
  readonly size: number
  readonly resultSize: number
  /** Where its zlib stream lies in the file of deltas. */
  readonly at: number
  readonly length: number
}

/** What applying deltas takes. */
export interface DeltaTools {
  /** Finds bases. */
  readonly database: ObjectDatabase
  /** A new pack for what deltas make. */
  readonly openPack: () => Promise<PackWriter>
  /** Completes such a pack; `database` must find its objects then. */
  readonly completePack: (writer: PackWriter) => Promise<void>
}

export interface DeltaOptions {
  tmpDir: string
  /** Asked for once all of the pack is there, if it has deltas. */
  deltaTools: () => Promise<DeltaTools>
  /** The id of an entry that came whole, by where it began. */
  oidFrom: (origin: number) => Oid | undefined
  signal: AbortSignal | undefined
}

/** An object on which deltas build, and those that have not been applied to it yet. */
interface Base {
  readonly data: Buffer
  readonly type: GitObjectType
  readonly depth: number
  readonly deltas: PendingDelta[]
}

/**
 * The deltas of a pack that is being received. They are put aside until all of it is there, then applied, and what they
 * make is written as whole objects, so that no delta is ever stored.
 */
export class ReceivedDeltas {
  readonly #options: DeltaOptions
  readonly #path: string
  #file: FileHandle | undefined
  #length = 0
  #count = 0
  readonly #byOrigin = new Map<number, PendingDelta[]>()
  readonly #byOid = new Map<Oid, PendingDelta[]>()
  /** What deltas have made: the id by where the delta began, and how many deltas lead there. */
  readonly #made = new Map<number, Oid>()
  readonly #depths = new Map<Oid, number>()

  constructor(options: DeltaOptions) {
    this.#options = options
    this.#path = join(options.tmpDir, `deltas-${process.pid}-${crypto.randomUUID()}.tmp`)
  }

  /** Number of deltas that wait. */
  get count(): number {
    return this.#count
  }

  /** Where the next bytes go in the file of deltas. */
  get position(): number {
    return this.#length
  }

  /** Puts bytes of a delta's zlib stream aside. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#file ??= await open(this.#path, 'wx+', 0o600)
    await writeFully(this.#file, bytes, this.#length)
    this.#length += bytes.length
  }

  add(delta: PendingDelta): void {
    if (typeof delta.base === 'number') put(this.#byOrigin, delta.base, delta)
    else put(this.#byOid, delta.base, delta)
    this.#count++
  }

  /**
   * Applies all deltas whose bases there are. One round writes one pack; what builds on a large object of one round
   * comes in the next.
   *
   * @throws PackInvalidError when a delta does not fit its base
   */
  async resolve(): Promise<void> {
    if (this.#count === 0) return
    const { database, openPack, completePack } = await this.#options.deltaTools()
    for (let before = -1; this.#count > 0 && this.#count !== before; ) {
      before = this.#count
      const bases = this.#known(database)
      if (bases.length === 0) return
      const writer = await openPack()
      try {
        for (const oid of bases) await this.#applyAll(oid, database, writer)
      } catch (error) {
        await writer.abort()
        throw error instanceof MalformedObjectError
          ? new PackInvalidError(error.message, { cause: error })
          : error
      }
      await completePack(writer)
    }
  }

  /** @throws PackInvalidError when deltas are left */
  checkNothingLeft(): void {
    for (const base of [...this.#byOid.keys(), ...this.#byOrigin.keys()]) {
      const name = typeof base === 'number' ? `at offset ${base}` : base
      throw new PackInvalidError(
        `${this.#count} of its deltas have no base: the first needs ${name}, which is nowhere or builds on them`,
      )
    }
  }

  /** Removes the file of deltas. */
  async close(): Promise<void> {
    if (this.#file === undefined) return
    await this.#file.close()
    await unlink(this.#path)
  }

  /** Objects that are there and on which deltas wait. */
  #known(database: ObjectDatabase): Oid[] {
    const known = new Set<Oid>()
    for (const oid of this.#byOid.keys()) known.add(oid)
    for (const origin of this.#byOrigin.keys()) {
      const oid = this.#options.oidFrom(origin) ?? this.#made.get(origin)
      if (oid === undefined) continue
      known.add(oid)
      // From here on they are found by the id alone.
      for (const delta of take(this.#byOrigin, origin)) put(this.#byOid, oid, delta)
    }
    return [...known].filter((oid) => database.has(oid))
  }

  async #applyAll(oid: Oid, database: ObjectDatabase, writer: PackWriter): Promise<void> {
    const { tmpDir, signal } = this.#options
    const deltas = take(this.#byOid, oid)
    const depth = this.#depths.get(oid) ?? 0
    const { type, size } = await database.header(oid)
    if (size <= MEMORY_LIMIT) {
      const { data } = await database.read(oid, { maxSize: MEMORY_LIMIT, ...(signal && { signal }) })
      await this.#applyTree({ data, type, depth, deltas }, writer)
      return
    }
    const { chunks } = await database.stream(oid, signal && { signal })
    const spool = await Spool.from(chunks, tmpDir, size)
    try {
      for (const delta of deltas) await this.#applyLarge(delta, spool, type, depth, writer)
    } finally {
      spool.close()
    }
  }

  /** Applies the deltas on a base, those on what they make, and so on, deepest first, so that few bases are held. */
  async #applyTree(root: Base, writer: PackWriter): Promise<void> {
    const stack = [root]
    let held = root.data.length
    for (let base = stack.at(-1); base !== undefined; base = stack.at(-1)) {
      const delta = base.deltas.pop()
      if (base.deltas.length === 0) {
        stack.pop()
        held -= base.data.length
      }
      if (delta === undefined) continue
      throwIfAborted(this.#options.signal)
      if (Math.max(delta.resultSize, delta.size) > MEMORY_LIMIT) {
        await this.#applyLarge(delta, memoryBase(base.data), base.type, base.depth, writer)
        continue
      }
      const raw = Buffer.allocUnsafe(delta.length)
      await readFully(this.#file!, raw, delta.at)
      const data = applyDelta(base.data, await inflateExact(raw, delta.size), MEMORY_LIMIT)
      const oid = writer.object(base.type, data)
      await writer.ready()
      const depth = this.#note(delta, oid, base.depth)
      if (held + data.length > HELD_LIMIT) continue
      const deltas = [...take(this.#byOrigin, delta.origin), ...take(this.#byOid, oid)]
      if (deltas.length === 0) continue
      stack.push({ data, type: base.type, depth, deltas })
      held += data.length
    }
  }

  async #applyLarge(
    delta: PendingDelta,
    base: DeltaBase,
    type: GitObjectType,
    depth: number,
    writer: PackWriter,
  ): Promise<void> {
    if (type !== 'blob') throw new PackInvalidError(`a delta makes a ${type} of ${delta.resultSize} bytes`)
    const raw = inflateStream(this.#stored(delta), delta.size, this.#options.signal)
    writer.blobStart(delta.resultSize)
    for await (const piece of applyDeltaStream(base, raw)) {
      writer.blobData(piece)
      await writer.ready()
    }
    this.#note(delta, writer.blobEnd(), depth)
  }

  async *#stored({ at, length }: PendingDelta): AsyncGenerator<Buffer> {
    for (let done = 0; done < length; done += STREAM_CHUNK_SIZE) {
      const chunk = Buffer.allocUnsafe(Math.min(STREAM_CHUNK_SIZE, length - done))
      await readFully(this.#file!, chunk, at + done)
      yield chunk
    }
  }

  /** A delta has been applied; gives the length of the chain that leads to what it makes. */
  #note(delta: PendingDelta, oid: Oid, baseDepth: number): number {
    const depth = baseDepth + 1
    if (depth > MAX_DELTA_DEPTH)
      throw new PackInvalidError(`a chain of deltas is longer than ${MAX_DELTA_DEPTH}`)
    this.#count--
    this.#made.set(delta.origin, oid)
    this.#depths.set(oid, depth)
    return depth
  }
}

function put<K>(map: Map<K, PendingDelta[]>, key: K, delta: PendingDelta): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [delta])
  else list.push(delta)
}

function take<K>(map: Map<K, PendingDelta[]>, key: K): PendingDelta[] {
  const list = map.get(key) ?? []
  map.delete(key)
  return list
}

function memoryBase(base: Buffer): DeltaBase {
  return {
    size: base.length,
    readInto: (target, position) => void base.copy(target, 0, position, position + target.length),
  }
}
