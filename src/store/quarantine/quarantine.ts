import { PackGoneError } from '../../git/object-errors.ts'
import { OID_BYTES, type Oid, oidFromBytes, oidsToBytes } from '../../git/oid.ts'
import { type ExtractedEntry, extractEntries } from '../../git/pack/extract.ts'
import type { Pack } from '../../git/pack/pack.ts'
import type { PathInfo } from '../../nix/path-info.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type {
  AdmitOptions,
  AnnouncedContents,
  IngestOutcome,
  Quarantine,
  ReceivedPack,
  ReceiveLimits,
  ReceiveOptions,
} from '../api.ts'
import type { StoredGzipFacts } from '../facts.ts'
import { createPublisher, type IngestComponents } from '../ingest/create.ts'
import { NarBodies } from '../nar-body.ts'
import type { NarPlan } from '../plan.ts'
import type { Expectations } from './expectations.ts'
import type { QuarantineObjects } from './objects.ts'
import { provePackage } from './proof.ts'
import { missingBlobs, packageObjects } from './walks.ts'

/**
 * At the end a pack goes whose packages were published when what it holds beside published objects is less than this share
 * of it, or these bytes.
 */
const LITTLE_SHARE = 1 / 8
const LITTLE_BYTES = 64 * 1024

/**
 * Bytes of ids of packages' objects that are remembered from a package's proof until it is published; those of further
 * ones are looked up again.
 */
const REMEMBERED_IDS = 8 * 1024 * 1024

/** Smaller packs are copied together into one, so that a pull from many peers does not leave many packs. */
const LINKED_BYTES = 8 * 1024 * 1024

interface Admitted {
  readonly info: PathInfo
  readonly commit: Oid
  readonly tree: Oid
  /** The ids of its objects, one after the other, in the order of `packageObjects`. */
  readonly objects: Buffer | undefined
  /** Facts about its gzip form that will be true of the store. */
  readonly gzip: StoredGzipFacts | undefined
}

export interface StoreQuarantineComponents {
  objects: QuarantineObjects
  expectations: Expectations
  /** What publishing needs of the store. */
  store: IngestComponents
  /** Told when the quarantine is closed. */
  onClose: () => void
}

/** Objects from elsewhere in a folder of their own, until packages made of them are proven and published. */
export class StoreQuarantine implements Quarantine {
  readonly #objects: QuarantineObjects
  readonly #expectations: Expectations
  readonly #store: IngestComponents
  readonly #onClose: () => void
  /** By hash part, references first. */
  readonly #admitted = new Map<string, Admitted>()
  /** Bytes of ids that are remembered. */
  #remembered = 0
  /** Packs that published packages came from: at the end they go, unless much of them is still of use. */
  readonly #used = new Set<string>()
  /** Publications follow one another. */
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false
  readonly #bodies: NarBodies

  constructor({ objects, expectations, store, onClose }: StoreQuarantineComponents) {
    this.#objects = objects
    this.#expectations = expectations
    this.#store = store
    this.#bodies = new NarBodies(objects.database, () => {})
    this.#onClose = onClose
  }

  get worked(): number {
    return this.#objects.worked
  }

  has(oid: string): boolean {
    return this.#objects.database.has(oid)
  }

  async read(
    oid: string,
    options: AbortOptions & { maxSize: number },
  ): Promise<{ type: string; data: Buffer }> {
    return await this.#objects.database.read(oid, options)
  }

  receive(
    pack: AsyncIterable<Uint8Array>,
    limits: ReceiveLimits,
    options: ReceiveOptions = {},
  ): Promise<ReceivedPack> {
    return this.#objects.receive(pack, limits, options)
  }

  async expect(packages: readonly AnnouncedContents[], options: AbortOptions = {}): Promise<string[][]> {
    return await this.#fresh(() => this.#expectations.expect(packages, options.signal))
  }

  async missingBlobs(tree: string, options: AbortOptions = {}): Promise<string[]> {
    return await this.#fresh(() => missingBlobs(this.#objects.database, tree, options.signal))
  }

  async admit(info: PathInfo, commit: string, options: AdmitOptions = {}): Promise<IngestOutcome> {
    const { hash } = info.storePath
    if (this.#store.isPresent(hash) || this.#admitted.has(hash)) return 'present'
    const { database, records } = this.#objects
    const components = {
      ...{ database, records, bodies: this.#bodies },
      commitOf: (part: string) => this.#commitOf(part),
      hashedNar: (tree: Oid) => this.#expectations.take(tree),
    }
    this.#objects.hold()
    const proof = await this.#fresh(() => provePackage(info, commit, components, options))
    this.#admitted.set(hash, {
      info,
      commit,
      tree: proof.tree,
      objects: this.#remember(proof.objects),
      gzip: this.#willBeStored(proof.plan) ? proof.gzip : undefined,
    })
    return 'added'
  }

  publish(options: AbortOptions = {}): Promise<void> {
    return this.#inTurn(() => this.#publish(options.signal))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#expectations.close()
    await this.#turn
    try {
      await this.#clean((size) => Math.max(LITTLE_BYTES, size * LITTLE_SHARE), this.#used)
    } finally {
      this.#objects.close()
      this.#onClose()
    }
  }

  #remember(objects: readonly Oid[]): Buffer | undefined {
    const length = objects.length * OID_BYTES
    if (length > REMEMBERED_IDS - this.#remembered) return undefined
    this.#remembered += length
    return oidsToBytes(objects)
  }

  /**
   * Whether the store will have a plan's blobs as they are here: not when it has some of them in another encoding. That it
   * may get one until then does no harm, as facts are compared with the packs before they are used.
   */
  #willBeStored(plan: NarPlan): boolean {
    const { database } = this.#objects
    for (let file = 0; file < plan.count; file++) {
      const oid = plan.oid(file)
      const place = database.locate(oid)
      if (place?.kind !== 'pack') return false
      if (this.#objects.owns(place.pack) && this.#store.database.has(oid)) return false
    }
    return true
  }

  #commitOf(hash: string): Oid | undefined {
    return this.#store.commitOf(hash) ?? this.#admitted.get(hash)?.commit
  }

  async #publish(signal: AbortSignal | undefined): Promise<void> {
    const admitted = [...this.#admitted.values()]
    if (admitted.length === 0) return
    await this.#fresh(async () => {
      const { whole, entries } = await this.#newObjects(admitted, signal)
      const { tmpDir, packDir, spliceDir } = this.#store
      for (const pack of whole) await this.#onPack({ path: await this.#objects.give(pack, this.#store) })
      if (entries.length > 0)
        await this.#onPack(await extractEntries(entries, { tmpDir, packDir, spliceDir, signal }))
    })
    const publisher = createPublisher(this.#store, this.#onPack)
    for (const { info, tree, gzip } of admitted)
      publisher.add({ info, tree, single: false, durable: true, ...(gzip && { gzip }) })
    await publisher.publishReady()
    publisher.checkNothingLeft()
    for (const { info, objects } of admitted) {
      this.#admitted.delete(info.storePath.hash)
      this.#remembered -= objects?.length ?? 0
    }
    for (const { id } of this.#objects.packs()) this.#used.add(id)
    // Others may be about to use the rest of a pack: while the quarantine is open it goes when nothing is left.
    await this.#clean(() => 0, this.#used)
  }

  readonly #onPack = async ({ path }: { readonly path: string }): Promise<void> => {
    await this.#store.database.addPack(path)
  }

  /** What the store lacks of the packages: packs that hold nothing else, and where the rest lies here. */
  async #newObjects(
    admitted: readonly Admitted[],
    signal: AbortSignal | undefined,
  ): Promise<{ whole: Pack[]; entries: ExtractedEntry[] }> {
    const { database, records } = this.#objects
    const chosen = new Set<Oid>()
    for (const { commit, tree, objects } of admitted) {
      const oids = objects === undefined ? await packageObjects(database, tree, signal) : oidsIn(objects)
      for (const oid of oids) if (!this.#store.database.has(oid)) chosen.add(oid)
      if (!this.#store.database.has(commit)) chosen.add(commit)
    }
    const positions = new Map<Pack, number[]>()
    for (const oid of chosen) {
      const location = database.locate(oid)
      // It has come into the store meanwhile, or has left this place: whoever asks next finds out.
      if (location?.kind !== 'pack') throw new PackGoneError(`with object ${oid}`)
      const { pack, position } = location
      const others = positions.get(pack)
      if (others === undefined) positions.set(pack, [position])
      else others.push(position)
    }
    const whole = [...positions.keys()].filter((pack) => {
      return (
        this.#objects.owns(pack) &&
        pack.size >= LINKED_BYTES &&
        positions.get(pack)!.length === pack.index.count
      )
    })
    for (const pack of whole) positions.delete(pack)
    const entries = [...positions].flatMap(([pack, those]) =>
      those.map((position) => ({ pack, position, splice: records.at(pack, position) })),
    )
    return { whole, entries }
  }

  /** Removes those packs of which at most so many bytes are left that the store does not have. */
  async #clean(mayBeLeft: (size: number) => number, among: ReadonlySet<string>): Promise<void> {
    const isOfUse = (oid: Oid): boolean => !this.#store.database.has(oid)
    const spent = this.#objects.packs().filter((pack) => {
      return among.has(pack.id) && !hasMoreThan(mayBeLeft(pack.size), pack, isOfUse)
    })
    await this.#objects.remove(spent)
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => {})
    return turn
  }

  /** Does something with what is in the store now; once more when its packs were merged meanwhile. */
  async #fresh<T>(work: () => Promise<T>): Promise<T> {
    const { database } = this.#objects
    await database.refresh()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof PackGoneError)) throw error
      await database.refresh()
      return await work()
    }
  }
}

function* oidsIn(bytes: Buffer): Generator<Oid> {
  for (let at = 0; at < bytes.length; at += OID_BYTES) yield oidFromBytes(bytes, at)
}

/** Whether a pack has more than so many bytes of objects that match. */
function hasMoreThan(most: number, pack: Pack, matches: (oid: Oid) => boolean): boolean {
  let bytes = 0
  for (let position = 0; position < pack.index.count && bytes <= most; position++) {
    if (matches(pack.index.oidAt(position))) bytes += pack.index.lengthAt(position)
  }
  return bytes > most
}
