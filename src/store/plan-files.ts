import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'
import type { NarPlan } from './plan.ts'
import { decodePlan, encodePlan, PACKS_DIGEST_BYTES } from './plan-format.ts'

/** Packages of fewer files are planned anew in less time than matters: 2,000 take some 20 ms. */
export const FILES_WORTH_KEEPING = 2000
/** Characters of a listing from which on it is kept: that of some thousand files. */
const LISTING_WORTH_KEEPING = 64 * 1024
/** Length of all files together. What was not used for longest goes first. */
export const MAX_PLAN_FILES_BYTES = 256 * 1024 * 1024
/** Largest listing that is read back: a NAR may have some million files. */
const MAX_LISTING_BYTES = 512 * 1024 * 1024
const GZIP_LEVEL = 1

const compress = promisify(gzip)
const decompress = promisify(gunzip)

export interface PlanFilesComponents {
  /** `<gitdir>/gachix/plans`, made when it is missing. */
  readonly directory: string
  readonly database: ObjectDatabase
  /** Whether the repository still has every blob of a plan as the plan has it. */
  readonly isServable: (plan: NarPlan) => Promise<boolean>
  readonly logger: Logger
  /** Length of all files together; `MAX_PLAN_FILES_BYTES` unless given. */
  readonly maxBytes?: number
}

/**
 * Plans and listings of packages of many files, kept in files so that their first request after a start costs no walk through all of their files. Nothing in there is
 * needed: a file that is damaged, or whose packs are gone, is made anew, and all of them may be deleted at any time. No
 * method throws.
 */
export class PlanFiles {
  readonly #components: PlanFilesComponents
  readonly #maxBytes: number
  /** Lengths by name, the longest unused file first; read from the directory when first asked for. */
  #files: Promise<Map<string, number>> | undefined

  constructor(components: PlanFilesComponents) {
    this.#components = components
    this.#maxBytes = components.maxBytes ?? MAX_PLAN_FILES_BYTES
  }

  /** The plan of a tree, when it is kept and still true. */
  async plan(tree: Oid): Promise<NarPlan | undefined> {
    const name = `${tree}.plan`
    return await this.#attempt(async () => {
      const bytes = await this.#read(name)
      if (bytes === undefined) return undefined
      const kept = decodePlan(bytes, tree)
      if (kept === undefined) {
        await this.#remove(name)
        return undefined
      }
      if (kept.packs.equals(this.#packs())) return kept.plan
      const isServable = await this.#components.isServable(kept.plan)
      if (isServable) await this.keepPlan(kept.plan)
      else await this.#remove(name)
      return isServable ? kept.plan : undefined
    })
  }

  /** Keeps a plan, if that is worth it. */
  async keepPlan(plan: NarPlan): Promise<void> {
    if (plan.count < FILES_WORTH_KEEPING || !plan.spliced || plan.crc32 === undefined) return
    await this.#attempt(() => this.#write(`${plan.tree}.plan`, encodePlan(plan, this.#packs())))
  }

  /** Forgets the plan of a tree, which turned out to be wrong. */
  async forget(tree: Oid): Promise<void> {
    await this.#attempt(() => this.#remove(`${tree}.plan`))
  }

  /** The listing of a tree, when it is kept. */
  async listing(tree: Oid): Promise<string | undefined> {
    const name = `${tree}.ls.gz`
    return await this.#attempt(async () => {
      const bytes = await this.#read(name)
      if (bytes === undefined) return undefined
      try {
        return (await decompress(bytes, { maxOutputLength: MAX_LISTING_BYTES })).toString('utf8')
      } catch {
        // gzip has a checksum
        await this.#remove(name)
        return undefined
      }
    })
  }

  /** Keeps a listing, if that is worth it. */
  async keepListing(tree: Oid, text: string): Promise<void> {
    if (text.length < LISTING_WORTH_KEEPING) return
    await this.#attempt(async () => {
      await this.#write(`${tree}.ls.gz`, [await compress(text, { level: GZIP_LEVEL })])
    })
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      const { logger, directory } = this.#components
      logger.warn({ err: error }, `cannot keep plans in ${directory}: ${errorMessage(error)}`)
      return undefined
    }
  }

  /** Digest of the packs that are there, in the order in which they are asked. */
  #packs(): Buffer {
    const hash = createHash('sha256')
    for (const { id } of this.#components.database.packs()) hash.update(id)
    return hash.digest().subarray(0, PACKS_DIGEST_BYTES)
  }

  async #read(name: string): Promise<Buffer | undefined> {
    const files = await this.#listed()
    const size = files.get(name)
    if (size === undefined) return undefined
    files.delete(name)
    files.set(name, size)
    const path = join(this.#components.directory, name)
    const now = new Date()
    try {
      // At the beginning of its memory, where arrays of numbers may lie.
      const bytes = Buffer.allocUnsafeSlow(size)
      const read = await readFile(path)
      if (read.length !== size) throw new RangeError(`${path} has another length than before`)
      read.copy(bytes)
      await utimes(path, now, now)
      return bytes
    } catch {
      await this.#remove(name)
      return undefined
    }
  }

  /** Writes a file under a temporary name and renames it. What a crash loses is made anew. */
  async #write(name: string, pieces: readonly Uint8Array[]): Promise<void> {
    const files = await this.#listed()
    const size = pieces.reduce((sum, { length }) => sum + length, 0)
    if (size > this.#maxBytes) return
    await this.#makeRoom(files, size, name)
    const path = join(this.#components.directory, name)
    const temporary = `${path}.${randomUUID()}.tmp`
    try {
      const file = await open(temporary, 'wx')
      try {
        for (const piece of pieces) await file.writeFile(piece)
      } finally {
        await file.close()
      }
      await rename(temporary, path)
      files.delete(name)
      files.set(name, size)
    } finally {
      await rm(temporary, { force: true })
    }
  }

  async #makeRoom(files: Map<string, number>, size: number, except: string): Promise<void> {
    let total = size
    for (const [name, length] of files) if (name !== except) total += length
    for (const [name, length] of [...files]) {
      if (total <= this.#maxBytes) return
      if (name === except) continue
      await this.#remove(name)
      total -= length
    }
  }

  async #remove(name: string): Promise<void> {
    const files = await this.#listed()
    files.delete(name)
    await rm(join(this.#components.directory, name), { force: true })
  }

  #listed(): Promise<Map<string, number>> {
    this.#files ??= this.#list().catch((error: unknown) => {
      this.#files = undefined
      throw error
    })
    return this.#files
  }

  async #list(): Promise<Map<string, number>> {
    const { directory } = this.#components
    await mkdir(directory, { recursive: true })
    const found: { name: string; size: number; mtimeMs: number }[] = []
    for (const name of await readdir(directory)) {
      const path = join(directory, name)
      if (!name.endsWith('.plan') && !name.endsWith('.ls.gz'))
        await rm(path, { force: true, recursive: true })
      else {
        const { size, mtimeMs } = await stat(path)
        found.push({ name, size, mtimeMs })
      }
    }
    found.sort((a, b) => a.mtimeMs - b.mtimeMs)
    return new Map(found.map(({ name, size }) => [name, size]))
  }
}
