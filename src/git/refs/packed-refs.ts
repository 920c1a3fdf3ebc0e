import { release } from '../../util/release.ts'
import { ABSENT, type FileVersion } from '../durable-file.ts'
import type { Oid } from '../oid.ts'
import { type PackageRefs, packageRef } from './package-refs.ts'
import { LONGEST_NAME, writeId, writeName } from './package-row.ts'
import { canHold, type PackageTable } from './package-table.ts'
import { loadPackedRefs } from './packed-refs-file.ts'
import { headerLine, type PeeledRefs, type ScannedRefs, scanPackedRefs } from './packed-refs-scan.ts'
import { PackedRefsError } from './ref-errors.ts'
import { compareRefNames } from './ref-name.ts'
import { NAME_OFFSET, NEWLINE, type RefChanges } from './ref-records.ts'

export type { RefChanges } from './ref-records.ts'

/** A ref and the object it names. */
export interface Ref {
  readonly name: string
  readonly oid: Oid
}

/** Bytes of a piece of the file. */
const PIECE_BYTES = 1024 * 1024
const LONGEST_LINE = NAME_OFFSET + LONGEST_NAME + 1
const SPACE = 0x20

/**
 * The content of a `packed-refs` file: packages' refs in a table, all others in the lines that they have there, so that a million packages cost 60
 * MB and no object each. Immutable; names that are not UTF-8 are kept but cannot be asked for.
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
   * Reads the content of a `packed-refs` file.
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
    const { scanned, version } = await loadPackedRefs(path)
    return new PackedRefs(scanned, path, version)
  }

  /** Number of refs. */
  get count(): number {
    return this.#scanned.packages.count + this.#scanned.others.count
  }

  /** Number of refs that are the narinfo of a package. */
  get packageCount(): number {
    return this.#scanned.packages.packageCount + this.#scanned.others.packageCount
  }

  /** Length of the file in bytes. */
  get length(): number {
    const { packages, others, peeled } = this.#scanned
    const narinfos = packages.packageCount * LONGEST_LINE
    const results = (packages.count - packages.packageCount) * (LONGEST_LINE - 1)
    return headerLine(peeled).length + narinfos + results + others.bytes.length
  }

  /** The file's content: in order, and with the header that Git writes. */
  get bytes(): Buffer {
    return Buffer.concat(Array.from(this.pieces(), (piece) => Buffer.from(piece)))
  }

  /** The same in pieces, each to be used before the next one is asked for. */
  *pieces(): Generator<Buffer> {
    const { packages, others, peeled } = this.#scanned
    const size = Math.min(PIECE_BYTES, this.length + LONGEST_LINE)
    const piece = Buffer.allocUnsafeSlow(size)
    let filled = piece.write(headerLine(peeled), 'latin1')
    let place = 0
    for (let at = 0; place < packages.places || at < others.bytes.length; ) {
      const end = at < others.bytes.length ? packages.lowerBound(others.nameAt(at)) : packages.places
      while (place < end) {
        // All of these fit in, whatever of the places is empty.
        const fitting = Math.min(end, place + Math.floor((size - filled) / LONGEST_LINE))
        packages.forEach(place, fitting, (rows, row, ref) => {
          filled = writeId(rows, row, ref, piece, filled)
          piece[filled] = SPACE
          filled = writeName(rows, row, ref, piece, filled + 1)
          piece[filled++] = NEWLINE
        })
        place = fitting
        if (place === end) break
        yield piece.subarray(0, filled)
        filled = 0
      }
      if (at === others.bytes.length) break
      const next = others.endOf(at)
      if (filled + next - at > size) {
        yield piece.subarray(0, filled)
        filled = 0
      }
      if (next - at > size) yield others.bytes.subarray(at, next)
      else filled += others.bytes.copy(piece, filled, at, next)
      at = next
    }
    yield piece.subarray(0, filled)
    release(piece)
  }

  /** @throws PackedRefsError when the ref's line does not hold an object id */
  find(name: string): Oid | undefined {
    const { packages, others } = this.#scanned
    const place = packages.find(name)
    if (place >= 0) return packages.oid(place)
    const at = others.count === 0 ? -1 : others.find(Buffer.from(name))
    return at < 0 ? undefined : this.#otherAt(at)
  }

  has(name: string): boolean {
    const { packages, others } = this.#scanned
    return packages.find(name) >= 0 || (others.count > 0 && others.find(Buffer.from(name)) >= 0)
  }

  /**
   * The refs whose names begin with the prefix, in byte order.
   *
   * @throws PackedRefsError at a line that does not hold an object id
   */
  *entries(prefix = ''): Generator<Ref> {
    const { packages, others } = this.#scanned
    const key = Buffer.from(prefix)
    const end = packages.endOf(key)
    let place = packages.lowerBound(key)
    for (let at = others.lowerBound(key); at < others.bytes.length; at = others.endOf(at)) {
      const name = others.nameAt(at)
      if (!name.subarray(0, key.length).equals(key)) break
      const before = packages.lowerBound(name)
      yield* entriesOf(packages, place, before)
      place = before
      yield { name: name.toString('utf8'), oid: this.#otherAt(at) }
    }
    yield* entriesOf(packages, place, end)
  }

  /** The packages in order of their hashes; `undefined` when there are refs that are not in the table. */
  packages(): Iterable<PackageRefs> | undefined {
    const { packages, others } = this.#scanned
    return others.count === 0 ? packages.packages() : undefined
  }

  /**
   * Hash parts of the packages whose refs are in the table, as `PackageTable.hashes` gives them.
   *
   * @param without those that are left out
   */
  tableHashes(without: ReadonlySet<string>): Iterable<Buffer> {
    const { packages } = this.#scanned
    const places = new Set<number>()
    for (const hash of without)
      for (const kind of ['narinfo', 'result'] as const) places.add(packages.find(packageRef(hash, kind)))
    return packages.hashes(places)
  }

  /** Names of the refs that are not in the table. */
  *otherNames(): Generator<string> {
    const { others } = this.#scanned
    for (let at = 0; at < others.bytes.length; at = others.endOf(at)) yield others.nameAt(at).toString('utf8')
  }

  /** How many refs have names that begin with the prefix. */
  countPrefix(prefix: string): number {
    if (prefix === '') return this.count
    const { packages, others } = this.#scanned
    const key = Buffer.from(prefix)
    let found = packages.countBetween(packages.lowerBound(key), packages.endOf(key))
    for (let at = others.lowerBound(key); at < others.bytes.length; at = others.endOf(at)) {
      if (!others.nameAt(at).subarray(0, key.length).equals(key)) break
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
    const { packages, others, peeled } = this.#scanned
    const names = [...changes.keys()].sort(compareRefNames)
    const isHeld = (name: string): boolean => canHold(name, changes.get(name))
    const packageNames = names.filter((name) => canHold(name, undefined))
    // What goes into the table goes out of the lines, and the other way round.
    const otherNames = others.count === 0 ? names.filter((name) => !isHeld(name)) : names
    const scanned = {
      packages: packages.merge(packageNames, (name) => (isHeld(name) ? changes.get(name) : undefined)),
      others: others.merge(otherNames, (name) => (isHeld(name) ? undefined : changes.get(name))),
      headerLines: 1,
      peeled: promiseAfter(peeled, changes),
    }
    return new PackedRefs(scanned, this.#source, ABSENT)
  }

  /** The same refs as content of a file in this state. */
  withVersion(version: FileVersion): PackedRefs {
    return new PackedRefs(this.#scanned, this.#source, version)
  }

  #otherAt(at: number): Oid {
    const { packages, others, headerLines } = this.#scanned
    const oid = others.oidAt(at)
    if (oid !== undefined) return oid
    const before = packages.countBetween(0, packages.lowerBound(others.nameAt(at)))
    const line = headerLines + before + others.linesBefore(at) + 1
    const text = others.bytes.toString('latin1', at, at + NAME_OFFSET - 1)
    throw new PackedRefsError(this.#source, line, `not an object id: ${JSON.stringify(text)}`)
  }
}

function* entriesOf(packages: PackageTable, from: number, to: number): Generator<Ref> {
  for (let place = from; place < to; place++) {
    if (packages.has(place)) yield { name: packages.name(place), oid: packages.oid(place) }
  }
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
