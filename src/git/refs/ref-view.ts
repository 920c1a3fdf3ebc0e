import type { Oid } from '../oid.ts'
import {
  groupPackages,
  isNarinfoRef,
  PACKAGE_REFS_PREFIX,
  type PackageRefs,
  packageRef,
  parsePackageRef,
} from './package-refs.ts'
import { hashBytes } from './package-table.ts'
import type { PackedRefs, Ref } from './packed-refs.ts'
import { compareRefNames } from './ref-name.ts'

/**
 * The refs as a reader sees them: what is in the journal hides loose refs, and those hide packed ones. In memory only.
 */
export class RefView {
  #packed: PackedRefs
  #loose: ReadonlyMap<string, Oid>
  /** Values from the journal; `undefined` for a ref that is deleted. */
  readonly #recent = new Map<string, Oid | undefined>()
  #packageCount = 0
  #sortedLoose: [string, Oid][] | undefined
  #sortedRecent: [string, Oid | undefined][] | undefined

  constructor(packed: PackedRefs, loose: ReadonlyMap<string, Oid>) {
    this.#packed = packed
    this.#loose = loose
    this.#countPackages()
  }

  get packed(): PackedRefs {
    return this.#packed
  }

  get loose(): ReadonlyMap<string, Oid> {
    return this.#loose
  }

  /** Changes that are in the journal only. */
  get recent(): ReadonlyMap<string, Oid | undefined> {
    return this.#recent
  }

  /** Number of refs that are the narinfo of a package. */
  get packageCount(): number {
    return this.#packageCount
  }

  get(name: string): Oid | undefined {
    if (this.#recent.size > 0 && this.#recent.has(name)) return this.#recent.get(name)
    return this.#loose.get(name) ?? this.#packed.find(name)
  }

  has(name: string): boolean {
    if (this.#recent.size > 0 && this.#recent.has(name)) return this.#recent.get(name) !== undefined
    return this.#loose.has(name) || this.#packed.has(name)
  }

  /** Makes a change visible that is in the journal. */
  apply(name: string, oid: Oid | undefined): void {
    if (isNarinfoRef(name)) this.#packageCount += (oid === undefined ? 0 : 1) - (this.has(name) ? 1 : 0)
    this.#recent.set(name, oid)
    this.#sortedRecent = undefined
  }

  /** Puts what is on the disk now in the place of what was there before; the journal's changes stay. */
  replace(packed: PackedRefs, loose: ReadonlyMap<string, Oid>): void {
    this.#packed = packed
    this.#loose = loose
    this.#sortedLoose = undefined
    this.#countPackages()
  }

  /** Puts other changes of the journal in the place of those before. */
  replaceRecent(recent: ReadonlyMap<string, Oid | undefined>): void {
    this.#recent.clear()
    for (const [name, oid] of recent) this.#recent.set(name, oid)
    this.#sortedRecent = undefined
    this.#countPackages()
  }

  /** The refs whose names begin with the prefix, in byte order, as they are now whatever happens while they are read. */
  list(prefix = ''): Iterable<Ref> {
    this.#sortedLoose ??= sorted(this.#loose)
    this.#sortedRecent ??= sorted(this.#recent)
    const loose = withPrefix(this.#sortedLoose, prefix)
    const recent = withPrefix(this.#sortedRecent, prefix)
    return overlay(recent, overlay(loose, this.#packed.entries(prefix)))
  }

  /** The packages in order of their hashes, as they are now whatever happens while they are read. */
  packages(): Iterable<PackageRefs> {
    const direct = this.#recent.size === 0 && this.#loose.size === 0 ? this.#packed.packages() : undefined
    return direct ?? groupPackages(this.list(PACKAGE_REFS_PREFIX))
  }

  /**
   * Hash parts of the packages that have a commit: 20 bytes each, in the order of Nix's own bytes, many in each piece; as they are now
   * whatever happens while they are read. Makes no object for each, so that a million cost no garbage to speak of.
   */
  packageHashes(): Iterable<Buffer> {
    const packed = this.#packed
    // Packages of which a ref is somewhere else than in the table.
    const apart = new Set<string>()
    for (const names of [this.#recent.keys(), this.#loose.keys(), packed.otherNames()]) {
      for (const name of names) {
        const hash = parsePackageRef(name)?.hash
        if (hash !== undefined) apart.add(hash)
      }
    }
    const isWhole = (hash: string): boolean =>
      this.has(packageRef(hash, 'narinfo')) && this.has(packageRef(hash, 'result'))
    const whole = Buffer.concat([...apart].filter(isWhole).map(hashBytes))
    return chain([whole], packed.tableHashes(apart))
  }

  /** How many refs have names that begin with the prefix. */
  count(prefix = ''): number {
    let count = this.#packed.countPrefix(prefix)
    for (const name of this.#loose.keys()) {
      if (name.startsWith(prefix) && !this.#packed.has(name)) count++
    }
    for (const [name, oid] of this.#recent) {
      if (!name.startsWith(prefix)) continue
      const below = this.#loose.has(name) || this.#packed.has(name)
      count += (oid === undefined ? 0 : 1) - (below ? 1 : 0)
    }
    return count
  }

  #countPackages(): void {
    let count = this.#packed.packageCount
    for (const name of this.#loose.keys()) {
      if (isNarinfoRef(name) && !this.#packed.has(name)) count++
    }
    for (const [name, oid] of this.#recent) {
      if (!isNarinfoRef(name)) continue
      const below = this.#loose.has(name) || this.#packed.has(name)
      count += (oid === undefined ? 0 : 1) - (below ? 1 : 0)
    }
    this.#packageCount = count
  }
}

function* chain<T>(...parts: readonly Iterable<T>[]): Generator<T> {
  for (const part of parts) yield* part
}

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => compareRefNames(a, b))
}

/** The run of sorted entries whose names begin with the prefix. */
function withPrefix<T>(entries: [string, T][], prefix: string): [string, T][] {
  if (prefix === '') return entries
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareRefNames(entries[middle]![0], prefix) < 0) low = middle + 1
    else high = middle
  }
  let end = low
  while (end < entries.length && entries[end]![0].startsWith(prefix)) end++
  return entries.slice(low, end)
}

/** Both in one order; of two with one name the upper one, and none where that says the ref is deleted. */
function overlay(upper: readonly [string, Oid | undefined][], lower: Iterable<Ref>): Iterable<Ref> {
  return upper.length === 0 ? lower : merge(upper, lower)
}

function* merge(upper: readonly [string, Oid | undefined][], lower: Iterable<Ref>): Generator<Ref> {
  let next = 0
  for (const ref of lower) {
    let hidden = false
    for (; next < upper.length; next++) {
      const [name, oid] = upper[next]!
      const order = compareRefNames(name, ref.name)
      if (order > 0) break
      if (order === 0) hidden = true
      if (oid !== undefined) yield { name, oid }
    }
    if (!hidden) yield ref
  }
  for (; next < upper.length; next++) {
    const [name, oid] = upper[next]!
    if (oid !== undefined) yield { name, oid }
  }
}
