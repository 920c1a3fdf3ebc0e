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

/**
 * Derived facts about packages, in an SQLite file that may be deleted at any time: they are worked out again from the
 * packs. A file that is damaged or of another version is replaced.
 */
export class Facts {
  readonly #database: DatabaseSync
  readonly #select: StatementSync
  readonly #insert: StatementSync

  /** @param path the file, or `:memory:` for a repository that is opened read-only */
  constructor(path: string) {
    this.#database = openDatabase(path)
    this.#select = this.#database.prepare('SELECT id, size, crc32, sha256 FROM gzip WHERE tree = ?')
    this.#insert = this.#database.prepare(
      'INSERT OR REPLACE INTO gzip (tree, id, size, crc32, sha256) VALUES (?, ?, ?, ?, ?)',
    )
  }

  gzip(tree: Oid): StoredGzipFacts | undefined {
    const row = this.#select.get(Buffer.from(tree, 'hex'))
    if (row === undefined) return undefined
    return {
      id: String(row.id),
      size: Number(row.size),
      crc32: Number(row.crc32),
      sha256: row.sha256 as Uint8Array,
    }
  }

  setGzip(tree: Oid, facts: StoredGzipFacts): void {
    this.#insert.run(Buffer.from(tree, 'hex'), facts.id, facts.size, facts.crc32, facts.sha256)
  }

  close(): void {
    this.#database.close()
  }
}

function openDatabase(path: string): DatabaseSync {
  try {
    return prepareTables(new DatabaseSync(path))
  } catch (error) {
    if (path === ':memory:') throw error
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
    return prepareTables(new DatabaseSync(path))
  }
}

function prepareTables(database: DatabaseSync): DatabaseSync {
  // What is lost in a power cut is worked out again, so nothing waits for the disk.
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;')
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
  return database
}
