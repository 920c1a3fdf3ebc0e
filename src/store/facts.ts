import { rmSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Oid } from '../git/oid.ts'
import type { GzipFacts } from './api.ts'

/** What was worked out about the gzip form of a tree's NAR. */
export interface StoredGzipFacts extends GzipFacts {
  /** CRC-32 of the NAR, for the gzip trailer. */
  readonly crc32: number
}

/** Raised when the tables change: a file of another version is made anew. */
const SCHEMA_VERSION = 1

interface Tables {
  readonly database: DatabaseSync
  readonly select: StatementSync
  readonly insert: StatementSync
}

/**
 * Derived facts about packages, in an SQLite file that may be deleted at any time: they are worked out again from the
 * packs. A file that is damaged or of another version is replaced; where none can be written the facts are kept in
 * memory. So no trouble with the file keeps a package from being served.
 */
export class Facts {
  readonly #path: string
  #tables: Tables

  /** @param path the file, or `:memory:` */
  constructor(path: string) {
    this.#path = path
    try {
      this.#tables = openTables(path)
    } catch {
      this.#tables = this.#anew()
    }
  }

  gzip(tree: Oid): StoredGzipFacts | undefined {
    const row = this.#attempt(({ select }) => select.get(Buffer.from(tree, 'hex')))
    if (row === undefined) return undefined
    return {
      id: String(row.id),
      size: Number(row.size),
      crc32: Number(row.crc32),
      sha256: row.sha256 as Uint8Array,
    }
  }

  setGzip(tree: Oid, facts: StoredGzipFacts): void {
    this.#attempt(({ insert }) =>
      insert.run(Buffer.from(tree, 'hex'), facts.id, facts.size, facts.crc32, facts.sha256),
    )
  }

  close(): void {
    if (this.#tables.database.isOpen) this.#tables.database.close()
  }

  /** Once more in a new file when the file turns out to be damaged, or the disk full. */
  #attempt<T>(work: (tables: Tables) => T): T {
    try {
      return work(this.#tables)
    } catch (error) {
      if (!this.#tables.database.isOpen) throw error
      this.#tables.database.close()
      this.#tables = this.#anew()
      return work(this.#tables)
    }
  }

  #anew(): Tables {
    try {
      for (const suffix of ['', '-wal', '-shm']) rmSync(this.#path + suffix, { force: true })
      return openTables(this.#path)
    } catch {
      return openTables(':memory:')
    }
  }
}

/** @throws what SQLite throws for a file that it cannot use */
function openTables(path: string): Tables {
  const database = new DatabaseSync(path)
  try {
    // What is lost in a power cut is worked out again, so nothing waits for the disk.
    database.exec('PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL;')
    const version = database.prepare('PRAGMA user_version').get()?.user_version
    if (version !== SCHEMA_VERSION) {
      database.exec(`
        DROP TABLE IF EXISTS gzip;
        CREATE TABLE gzip (
          tree BLOB PRIMARY KEY, id TEXT NOT NULL, size INTEGER NOT NULL, crc32 INTEGER NOT NULL, sha256 BLOB NOT NULL
        ) WITHOUT ROWID;
        PRAGMA user_version = ${SCHEMA_VERSION};
      `)
    }
    return {
      database,
      select: database.prepare('SELECT id, size, crc32, sha256 FROM gzip WHERE tree = ?'),
      insert: database.prepare(
        'INSERT OR REPLACE INTO gzip (tree, id, size, crc32, sha256) VALUES (?, ?, ?, ?, ?)',
      ),
    }
  } catch (error) {
    database.close()
    throw error
  }
}
