import { OID_BYTES, type Oid } from '../../git/oid.ts'
import { UnexpectedAnswerError } from '../../git/protocol/client/errors.ts'
import type { RemoteRef } from '../../git/protocol/client/greeting.ts'
import { PACKAGE_HASH_LENGTH, type PackageRefKind, parsePackageRef } from '../../git/refs/package-refs.ts'
import type { RemotePackage } from '../../store/api.ts'

/**
 * The packages among refs, as they come. Servers send refs in order of their names, so those of a package follow one another.
 */
export async function* packagesOf(refs: AsyncIterable<RemoteRef>): AsyncGenerator<RemotePackage, void> {
  let hash = ''
  let oids: { [kind in PackageRefKind]?: Oid } = {}
  const found = (): RemotePackage | undefined => {
    const { narinfo, result } = oids
    if (narinfo === undefined) return undefined
    return { hash, narinfo, ...(result === undefined ? {} : { commit: result }) }
  }
  for await (const { name, oid } of refs) {
    const ref = parsePackageRef(name)
    if (ref === undefined) continue
    if (ref.hash !== hash) {
      const complete = found()
      if (complete !== undefined) yield complete
      hash = ref.hash
      oids = {}
    }
    oids[ref.kind] = oid
  }
  const last = found()
  if (last !== undefined) yield last
}

/**
 * Most packages that are remembered of a server which names all of its refs at once, 72 bytes each. One with more must
 * speak version 2.
 */
export const MAX_REMEMBERED_PACKAGES = 1_000_000

const NARINFO_START = PACKAGE_HASH_LENGTH
const COMMIT_START = NARINFO_START + OID_BYTES
const RECORD = COMMIT_START + OID_BYTES
const NO_COMMIT = '0'.repeat(2 * OID_BYTES)
const RECORDS_AT_FIRST = 1024

/** The packages of a server that tells all of them or none: records in one buffer, in order of their hash parts. */
export class RememberedPackages {
  #records: Buffer = Buffer.alloc(RECORD * RECORDS_AT_FIRST)
  readonly #limit: number
  #count = 0

  private constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#count
  }

  /** @throws UnexpectedAnswerError when they are out of order, or too many */
  static async read(
    refs: AsyncIterable<RemoteRef>,
    limit = MAX_REMEMBERED_PACKAGES,
  ): Promise<RememberedPackages> {
    const packages = new RememberedPackages(limit)
    let last = ''
    for await (const remotePackage of packagesOf(refs)) {
      if (remotePackage.hash <= last) throw new UnexpectedAnswerError('the refs are out of order')
      last = remotePackage.hash
      packages.#add(remotePackage)
    }
    return packages
  }

  get(hash: string): RemotePackage | undefined {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      const found = this.#hash(middle)
      if (found === hash) return this.#at(middle)
      if (found < hash) low = middle + 1
      else high = middle
    }
    return undefined
  }

  *[Symbol.iterator](): Generator<RemotePackage, void> {
    for (let i = 0; i < this.#count; i++) yield this.#at(i)
  }

  #add({ hash, narinfo, commit }: RemotePackage): void {
    if (this.#count === this.#limit) {
      throw new UnexpectedAnswerError(
        `it names more than ${this.#limit} packages at once; it has to speak version 2 of Git's protocol`,
      )
    }
    const at = this.#count++ * RECORD
    if (at === this.#records.length) {
      this.#records = Buffer.concat([this.#records, Buffer.alloc(this.#records.length)])
    }
    this.#records.write(hash, at, 'latin1')
    this.#records.write(narinfo, at + NARINFO_START, 'hex')
    this.#records.write(commit ?? NO_COMMIT, at + COMMIT_START, 'hex')
  }

  #hash(index: number): string {
    return this.#records.toString('latin1', index * RECORD, index * RECORD + PACKAGE_HASH_LENGTH)
  }

  #at(index: number): RemotePackage {
    const start = index * RECORD
    const narinfo = this.#records.toString('hex', start + NARINFO_START, start + COMMIT_START)
    const commit = this.#records.toString('hex', start + COMMIT_START, start + RECORD)
    return { hash: this.#hash(index), narinfo, ...(commit === NO_COMMIT ? {} : { commit }) }
  }
}
