import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import type { Pack } from '../git/pack/pack.ts'
import { NO_RECORD, type SpliceRecord } from '../git/splice/record.ts'
import { Sidecar } from '../git/splice/sidecar.ts'

/** What is known of a blob that can be spliced. */
export interface SpliceableBlob {
  readonly size: number
  readonly record: Exclude<SpliceRecord, { kind: 'none' }>
  /** Length of the blob's zlib stream in its pack. */
  readonly deflatedLength: number
  /** CRC-32 of the whole pack entry, from the pack's index. */
  readonly crc32: number
}

/** The splice sidecars of a repository's packs, opened as they are asked for. */
export class SpliceRecords {
  readonly #database: ObjectDatabase
  readonly directory: string
  readonly #fallback: SpliceRecords | undefined
  readonly #sidecars = new Map<string, Sidecar | undefined>()

  /** @param fallback knows of packs that have no sidecar in this directory */
  constructor(database: ObjectDatabase, directory: string, fallback?: SpliceRecords) {
    this.#database = database
    this.directory = directory
    this.#fallback = fallback
  }

  /** Where the sidecar of a pack lies. */
  pathOf(packId: string): string {
    return join(this.directory, `${packId}.splice`)
  }

  /** Whether the pack's blobs have been looked at. */
  has(pack: Pack): boolean {
    return this.#sidecar(pack) !== undefined
  }

  /** Looks for a sidecar again that was missing before. */
  refresh(pack: Pack): void {
    if (this.#sidecars.get(pack.id) === undefined) this.#sidecars.delete(pack.id)
  }

  /** What is known of the object at a position of a pack's index. */
  at(pack: Pack, position: number): SpliceRecord {
    return this.#sidecar(pack)?.record(position) ?? this.#fallback?.at(pack, position) ?? NO_RECORD
  }

  /** Lets go of the sidecar of a pack that is no longer used. */
  forget(pack: Pack): void {
    this.#sidecars.get(pack.id)?.close()
    this.#sidecars.delete(pack.id)
  }

  /** Deletes the sidecar of a pack that is no longer there. */
  async remove(packId: string): Promise<void> {
    await rm(this.pathOf(packId), { force: true })
  }

  /** Facts for splicing a blob; `undefined` when it is loose, a delta, or in a pack that has no sidecar. */
  find(oid: Oid): SpliceableBlob | undefined {
    const place = this.#database.deflated(oid)
    if (place === undefined) return undefined
    const record = this.at(place.pack, place.position)
    if (record.kind === 'none') return undefined
    const crc32 = place.pack.index.crc32At(place.position)
    return { size: place.size, record, deflatedLength: place.dataLength, crc32 }
  }

  close(): void {
    for (const sidecar of this.#sidecars.values()) sidecar?.close()
    this.#sidecars.clear()
  }

  #sidecar(pack: Pack): Sidecar | undefined {
    if (this.#sidecars.has(pack.id)) return this.#sidecars.get(pack.id)
    const sidecar = Sidecar.open(this.pathOf(pack.id), pack.id, pack.index.count)
    this.#sidecars.set(pack.id, sidecar)
    return sidecar
  }
}
