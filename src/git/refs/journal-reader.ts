import type { FileHandle } from 'node:fs/promises'
import { readFully } from '../durable-file.ts'
import type { Oid } from '../oid.ts'
import {
  decodeRecord,
  isIntact,
  JOURNAL_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  recordLength,
} from './journal-format.ts'
import { JournalDamagedError, JournalFormatError } from './ref-errors.ts'

/** Takes one change from the journal; without an object id the ref is deleted. */
export type ApplyChange = (name: string, oid: Oid | undefined) => void

/** Bytes that are searched for a record at a time. */
const SEARCH_BYTES = 1024 * 1024

/**
 * Hands over the changes of all intact records.
 *
 * Every record is synced before the next one is written, so only the last one can be unfinished after a crash. An
 * unreadable record with an intact one behind it is therefore damage of another kind and an error.
 *
 * @returns where the intact records end (0 when the file was cut within its header), and the size of the file
 * @throws JournalDamagedError, JournalFormatError
 */
export async function readJournal(
  file: FileHandle,
  path: string,
  apply: ApplyChange,
): Promise<{ end: number; size: number }> {
  const { size } = await file.stat()
  const start = Buffer.alloc(JOURNAL_HEADER.length)
  const startLength = await readFully(file, start, 0)
  if (
    startLength < start.length &&
    start.subarray(0, startLength).equals(JOURNAL_HEADER.subarray(0, startLength))
  ) {
    return { end: 0, size }
  }
  if (!start.equals(JOURNAL_HEADER)) throw new JournalFormatError(path)
  let at = JOURNAL_HEADER.length
  while (at < size) {
    const record = await readRecord(file, at, size)
    if (record === undefined) {
      if (await hasRecordAfter(file, at + 1, size)) {
        throw new JournalDamagedError(path, at, 'the record does not match its checksum')
      }
      break
    }
    const changes = decodeRecord(record)
    if (changes === undefined) throw new JournalFormatError(path)
    for (const [name, oid] of changes) apply(name, oid)
    at += record.length
  }
  return { end: at, size }
}

/** The intact record at `at`, or `undefined`. */
async function readRecord(file: FileHandle, at: number, size: number): Promise<Buffer | undefined> {
  const header = Buffer.alloc(RECORD_HEADER_BYTES)
  const length = recordLength(header.subarray(0, await readFully(file, header, at)))
  if (length === undefined || at + length > size) return undefined
  const record = Buffer.allocUnsafe(length)
  if ((await readFully(file, record, at)) < length) return undefined
  return isIntact(record) ? record : undefined
}

async function hasRecordAfter(file: FileHandle, from: number, size: number): Promise<boolean> {
  const window = Buffer.alloc(SEARCH_BYTES)
  // Windows overlap, so that a magic number across their border is found.
  for (let at = from; at < size; at += SEARCH_BYTES - RECORD_MAGIC.length + 1) {
    const bytes = window.subarray(0, await readFully(file, window, at))
    for (let i = bytes.indexOf(RECORD_MAGIC); i >= 0; i = bytes.indexOf(RECORD_MAGIC, i + 1)) {
      if ((await readRecord(file, at + i, size)) !== undefined) return true
    }
    if (bytes.length < window.length) break
  }
  return false
}
