import { createReadStream, existsSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ObjectDatabase } from '../../git/object-database.ts'
import { adoptPack, type PackFolders } from '../../git/pack/adopt.ts'
import { removePackFiles } from '../../git/pack/files.ts'
import type { FinishedPack } from '../../git/pack/finish.ts'
import type { Pack } from '../../git/pack/pack.ts'
import { PARTIAL_SUFFIX, type PackLimits } from '../../git/pack/receive.ts'
import { counted } from '../../util/counted.ts'
import { errorCode, errorMessage, GachixError } from '../../util/errors.ts'
import type { Logger } from '../../util/log.ts'
import type { ReceivedPack, ReceiveOptions } from '../api.ts'
import { SpliceRecords } from '../splice-records.ts'
import { QuarantineFullError } from './errors.ts'
import type { QuarantineFolder } from './folder.ts'
import type { ReceiverThread } from './receiving/thread.ts'

/** What a killed process left was within its limits when it came; its length is known. */
const NO_LIMIT = { objects: 0xffffffff, inflatedBytes: Number.MAX_SAFE_INTEGER }

export interface QuarantineObjectsOptions {
  folder: QuarantineFolder
  receiver: ReceiverThread
  /** zlib level of trees and commits that deltas make. */
  level: number
  /** The store's own objects, which the quarantine's may refer to. */
  storeObjects: ObjectDatabase
  /** The splice records of the store's own packs. */
  storeRecords: SpliceRecords
  /** The most bytes that the packs may take. */
  maxBytes: number
  logger: Logger
}

/** The objects of one quarantine, and through them those of the store. */
export class QuarantineObjects {
  /** Finds objects here, then in the store. */
  readonly database: ObjectDatabase
  readonly records: SpliceRecords
  readonly #options: QuarantineObjectsOptions
  /** Packs that were there before this use of the quarantine. They may make room for what comes. */
  readonly #old = new Set<string>()
  /** Bytes that packs may take which are being received. */
  #reserved = 0

  private constructor(database: ObjectDatabase, options: QuarantineObjectsOptions) {
    this.database = database
    this.#options = options
    this.records = new SpliceRecords(database, options.folder.spliceDir, options.storeRecords)
  }

  /** Opens the folder and takes up what is there, also what a killed process was receiving. */
  static async open(options: QuarantineObjectsOptions): Promise<QuarantineObjects> {
    const { folder, logger } = options
    await folder.prepare()
    const database = await ObjectDatabase.open(folder.objectsDir, {
      tempDir: folder.tmpDir,
      beside: options.storeObjects,
      onProblem: (error) => logger.warn({ err: error }, `a pack is left out: ${errorMessage(error)}`),
    })
    const objects = new QuarantineObjects(database, options)
    try {
      await objects.#salvage()
    } catch (error) {
      objects.close()
      throw error
    }
    for (const { id } of objects.packs()) objects.#old.add(id)
    return objects
  }

  /** The quarantine's own packs, oldest first. */
  packs(): Pack[] {
    return this.database
      .packs()
      .filter((pack) => this.owns(pack))
      .reverse()
  }

  /** Whether a pack is the quarantine's, not the store's. */
  owns(pack: Pack): boolean {
    return dirname(pack.path) === this.#options.folder.packDir
  }

  /** See `Quarantine.worked`. */
  get worked(): number {
    return this.#options.receiver.worked
  }

  /**
   * Takes in a pack, see `Quarantine.receive`; several at once. Older packs make room for them.
   *
   * @throws QuarantineFullError
   */
  async receive(
    source: AsyncIterable<Uint8Array>,
    limits: PackLimits,
    options: ReceiveOptions,
  ): Promise<ReceivedPack> {
    await this.database.refresh()
    await this.#makeRoom(limits.packBytes)
    const { maxBytes } = this.#options
    const room = maxBytes - this.#bytes()
    if (room <= 0) throw new QuarantineFullError(maxBytes)
    const packBytes = Math.min(limits.packBytes, room)
    this.#reserved += packBytes
    let bytes = 0
    const watched = counted(source, (length) => {
      bytes += length
    })
    try {
      return await this.#receive(watched, { ...limits, packBytes }, options)
    } catch (error) {
      // Within what its sender was allowed.
      const isOurs = bytes > packBytes && bytes <= limits.packBytes
      throw isOurs && errorCode(error) === 'ERR_BUDGET_EXCEEDED' ? new QuarantineFullError(maxBytes) : error
    } finally {
      this.#reserved -= packBytes
    }
  }

  /** Removes packs. */
  async remove(packs: readonly Pack[]): Promise<void> {
    if (packs.length === 0) return
    // What of them the store has taken over lies in packs that nobody may have looked for here.
    await this.database.refresh()
    await this.database.retirePacks(packs, async () => {
      await removePackFiles(this.#options.folder.packDir, packs)
      for (const pack of packs) {
        this.records.forget(pack)
        await this.records.remove(pack.id)
      }
    })
  }

  /** Makes a pack one of the store as well; gives its path there. Nothing in it may be unproven. */
  give(pack: Pack, store: PackFolders): Promise<string> {
    return adoptPack(pack, this.#options.folder, store)
  }

  /** Says that everything here is needed. */
  hold(): void {
    this.#old.clear()
  }

  close(): void {
    this.records.close()
    this.database.close()
  }

  async #receive(
    source: AsyncIterable<Uint8Array>,
    limits: PackLimits,
    { order = [], signal }: ReceiveOptions,
  ): Promise<ReceivedPack> {
    const { folder, receiver, level } = this.#options
    const { tmpDir, packDir, spliceDir, objectsDir } = folder
    const task = { limits, tmpDir, packDir, spliceDir, objectsDir, level, order }
    const onPack = async ({ path }: FinishedPack): Promise<void> => {
      const pack = await this.database.addPack(path)
      this.#old.delete(pack.id)
      this.records.refresh(pack)
    }
    return await receiver.receive(source, task, onPack, signal && { signal })
  }

  /** Takes up what a killed process left: packs that were coming, and those that it had not given their index yet. */
  async #salvage(): Promise<void> {
    const { tmpDir, packDir } = this.#options.folder
    for (const name of await readdir(tmpDir)) {
      const path = join(tmpDir, name)
      if (name.endsWith(PARTIAL_SUFFIX)) await this.#receiveAgain(path)
      await rm(path, { force: true })
    }
    const names = new Set(await readdir(packDir))
    for (const name of names) {
      const index = name.replace(/\.pack$/, '.idx')
      if (names.has(index)) continue
      await this.#receiveAgain(join(packDir, name))
      // The same pack may have come of it, at the same place.
      if (!existsSync(join(packDir, index))) await rm(join(packDir, name), { force: true })
    }
  }

  /** Receives a file that may break off anywhere; what is whole is kept. */
  async #receiveAgain(path: string): Promise<void> {
    const { size } = await stat(path)
    if (size === 0) return
    try {
      await this.#receive(createReadStream(path), { ...NO_LIMIT, packBytes: size }, {})
    } catch (error) {
      if (!(error instanceof GachixError)) throw error
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    const packs = this.packs().filter(({ id }) => this.#old.has(id))
    for (const pack of packs) {
      if (this.#bytes() + bytes <= this.#options.maxBytes) return
      await this.remove([pack])
    }
  }

  #bytes(): number {
    return this.packs().reduce((sum, { size }) => sum + size, this.#reserved)
  }
}
