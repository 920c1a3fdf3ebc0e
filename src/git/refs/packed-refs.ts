import { ABSENT, type FileVersion } from '../durable-file.ts'
import { isOid, type Oid } from '../oid.ts'
import { readPackedRefsFile } from './packed-refs-file.ts'
import {
  CARET,
  compareBytes,
  headerLine,
  isNarinfoName,
  lineNumber,
  NAME_OFFSET,
  NEWLINE,
  PEELED_LINE_BYTES,
  type PeeledRefs,
  type ScannedRefs,
  scanPackedRefs,
} from './packed-refs-scan.ts'
import { PackedRefsError } from './ref-errors.ts'
import { compareRefNames } from './ref-name.ts'

/** A ref and the object it names. */
export interface Ref {
  readonly name: string
  readonly oid: Oid
}

/** New values by ref name; `undefined` removes the ref. */
export type RefChanges = ReadonlyMap<string, Oid | undefined>

/**
 * The content of a `packed-refs` file, searched where it lies: a million refs cost their bytes and one pass over them,
 * no object each. Immutable; names that are not UTF-8 are kept but cannot be asked for.
 */
export class PackedRefs {
  /** How error messages name the file. */
  readonly #source: string
  readonly #scanned: ScannedRefs
  /** State of the file when it was loaded. */
  readonly version: FileVersion

  private constructor(scanned: ScannedRefs, source: string, version: FileVersion) {
    this.#scanned = scanned
    this.#source = source
    this.version = version
  }

  /**
   * Reads the content of a `packed-refs` file. Keeps the buffer, which must not change afterwards.
   *
   * @param source how error messages name the file
   * @throws PackedRefsError with the line that is malformed
   */
  static parse(bytes: Uint8Array, source = 'packed-refs', version: FileVersion = ABSENT): PackedRefs {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return new PackedRefs(scanPackedRefs(buffer, source), source, version)
  }

  /**
   * Reads the file; one that does not exist has no refs.
   *
   * @throws PackedRefsError, PackedRefsTooLargeError
   */
  static async load(path: string): Promise<PackedRefs> {
    const { bytes, version } = await readPackedRefsFile(path)
    return PackedRefs.parse(bytes, path, version)
  }

  /** Number of refs. */
  get count(): number {
    return this.#scanned.count
  }

  /** Number of refs that are the narinfo of a package. */
  get packageCount(): number {
    return this.#scanned.packageCount
  }

  /** The file's content, in order and with the header that Git writes, unless it is as it was read. */
  get bytes(): Buffer {
    return this.#scanned.bytes
  }

  /** @throws PackedRefsError when the ref's line does not hold an object id */
  find(name: string): Oid | undefined {
    const key = Buffer.from(name)
    const at = this.#lowerBound(key, this.#scanned.start)
    return this.#isAt(at, key) ? this.#oidAt(at) : undefined
  }

  has(name: string): boolean {
    const key = Buffer.from(name)
    return this.#isAt(this.#lowerBound(key, this.#scanned.start), key)
  }

  /**
   * The refs whose names begin with the prefix, in byte order.
   *
   * @throws PackedRefsError at a line that does not hold an object id
   */
  *entries(prefix = ''): Generator<Ref> {
    const { bytes, start } = this.#scanned
    const key = Buffer.from(prefix)
    let at = this.#lowerBound(key, start)
    while (at < bytes.length) {
      const nameStart = at + NAME_OFFSET
      const nameEnd = bytes.indexOf(NEWLINE, nameStart)
      if (!hasPrefix(bytes, nameStart, nameEnd, key)) return
      yield { name: bytes.toString('utf8', nameStart, nameEnd), oid: this.#oidAt(at) }
      at = this.#recordEnd(at)
    }
  }

  /** How many refs have names that begin with the prefix. */
  countPrefix(prefix: string): number {
    const { bytes, start, count } = this.#scanned
    if (prefix === '') return count
    const key = Buffer.from(prefix)
    let found = 0
    for (let at = this.#lowerBound(key, start); at < bytes.length; at = this.#recordEnd(at)) {
      const nameStart = at + NAME_OFFSET
      if (!hasPrefix(bytes, nameStart, bytes.indexOf(NEWLINE, nameStart), key)) break
      found++
    }
    return found
  }

  /**
   * These refs with changes applied; everything else, tag targets included, is carried over byte for byte.
   *
   * @param changes names and object ids must be valid; nothing is checked here
   */
  merge(changes: RefChanges): PackedRefs {
    const { bytes, start } = this.#scanned
    const names = [...changes.keys()].sort(compareRefNames)
    const header = headerLine(promiseAfter(this.#scanned.peeled, changes))
    let room = header.length + bytes.length - start
    for (const name of names) room += NAME_OFFSET + Buffer.byteLength(name) + 1
    const merged = Buffer.allocUnsafeSlow(room)
    let to = merged.write(header, 0, 'latin1')
    let from = start
    let count = this.count
    let packageCount = this.packageCount
    for (const name of names) {
      const key = Buffer.from(name)
      const at = this.#lowerBound(key, from)
      to += bytes.copy(merged, to, from, at)
      const narinfo = isNarinfoName(key, 0, key.length) ? 1 : 0
      from = at
      if (this.#isAt(at, key)) {
        from = this.#recordEnd(at)
        count--
        packageCount -= narinfo
      }
      const oid = changes.get(name)
      if (oid === undefined) continue
      to += merged.write(`${oid} `, to, 'latin1')
      to += key.copy(merged, to)
      merged[to++] = NEWLINE
      count++
      packageCount += narinfo
    }
    to += bytes.copy(merged, to, from)
    const peeled = promiseAfter(this.#scanned.peeled, changes)
    const scanned = { bytes: merged.subarray(0, to), start: header.length, count, packageCount, peeled }
    return new PackedRefs(scanned, this.#source, ABSENT)
  }

  /** The same refs as content of a file in this state. */
  withVersion(version: FileVersion): PackedRefs {
    return new PackedRefs(this.#scanned, this.#source, version)
  }

  /** Start of the first record, from the record at `from` on, whose name is not below the key. */
  #lowerBound(key: Uint8Array, from: number): number {
    const { bytes } = this.#scanned
    let low = from
    let high = bytes.length
    while (low < high) {
      const at = this.#recordStart(Math.floor((low + high) / 2), low)
      if (compareName(bytes, at + NAME_OFFSET, key) < 0) low = this.#recordEnd(at)
      else high = at
    }
    return low
  }

  /** Start of the record that holds this offset; `floor` is the start of some record at or before it. */
  #recordStart(offset: number, floor: number): number {
    const { bytes } = this.#scanned
    let at = offset
    while (at > floor && bytes[at - 1] !== NEWLINE) at--
    if (bytes[at] !== CARET) return at
    at--
    while (at > floor && bytes[at - 1] !== NEWLINE) at--
    return at
  }

  #recordEnd(at: number): number {
    const { bytes } = this.#scanned
    const end = bytes.indexOf(NEWLINE, at + NAME_OFFSET) + 1
    return bytes[end] === CARET ? end + PEELED_LINE_BYTES : end
  }

  #isAt(at: number, key: Uint8Array): boolean {
    const { bytes } = this.#scanned
    return at < bytes.length && compareName(bytes, at + NAME_OFFSET, key) === 0
  }

  #oidAt(at: number): Oid {
    const { bytes } = this.#scanned
    const oid = bytes.toString('latin1', at, at + NAME_OFFSET - 1)
    if (isOid(oid)) return oid
    throw new PackedRefsError(this.#source, lineNumber(bytes, at), `not an object id: ${JSON.stringify(oid)}`)
  }
}

/** Compares the name that begins at `at` and ends with its line to a key. */
function compareName(bytes: Uint8Array, at: number, key: Uint8Array): number {
  for (let i = 0; i < key.length; i++) {
    const byte = bytes[at + i]!
    // A newline ends the name, which makes it a prefix of the key and so smaller.
    if (byte === NEWLINE) return -1
    const difference = byte - key[i]!
    if (difference !== 0) return difference
  }
  return bytes[at + key.length] === NEWLINE ? 0 : 1
}

function hasPrefix(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  const prefixEnd = start + prefix.length
  return prefixEnd <= end && compareBytes(bytes, start, prefixEnd, prefix, 0, prefix.length) === 0
}

/**
 * What the file may promise of tags after the changes. A ref that we set may name a tag whose target we do not know,
 * except in a package and under `refs/heads/`, where Git allows no tags.
 */
function promiseAfter(peeled: PeeledRefs, changes: RefChanges): PeeledRefs {
  let promise = peeled
  for (const [name, oid] of changes) {
    if (promise === 'none') break
    if (oid === undefined || name.startsWith('refs/heads/') || PACKAGE_DIRECTORY.test(name)) continue
    promise = name.startsWith('refs/tags/') ? 'none' : 'tags'
  }
  return promise
}

const PACKAGE_DIRECTORY = /^refs\/[0-9a-df-np-sv-z]{32}\//
