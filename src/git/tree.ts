import { MalformedObjectError } from './object-errors.ts'
import { OID_BYTES, type Oid, oidToBytes } from './oid.ts'

/** Entry modes that Git writes: directory, file, executable, symlink, submodule. */
export type TreeMode = '40000' | '100644' | '100755' | '120000' | '160000'

/** One entry of a tree object. */
export interface TreeEntry {
  readonly mode: TreeMode
  /** The file name as bytes, without `/` and NUL. */
  readonly name: Buffer
  readonly oid: Oid
}

const SPACE = 0x20
const SLASH = 0x2f
const ZERO = 0x30
const DOT = 0x2e
const MODES: ReadonlySet<string> = new Set<TreeMode>(['40000', '100644', '100755', '120000', '160000'])
const LONGEST_MODE = 6
/** Written by git before 2005 and still valid in old histories; git reads it as a plain file, and so do we. */
const HISTORICAL_MODE = 100664

/**
 * Parses the content of a tree object, strictly: known modes, names without `/`, not empty, not `.` or `..`, entries in Git's
 * order, no name twice (also not once as a file and once as a directory). The one tolerance is the historical mode
 * `100664`, which is reported as `100644` as git does.
 * The names share memory with `data`.
 *
 * @param canonical refuse that mode too: what is parsed then encodes back to its own bytes
 * @throws MalformedObjectError
 */
export function parseTree(data: Uint8Array, canonical = false): TreeEntry[] {
  const buffer = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  const entries: TreeEntry[] = []
  const duplicates = new DuplicateFinder(entries)
  let previous: TreeEntry | undefined
  for (let position = 0; position < buffer.length; ) {
    let space = position
    let digits = 0
    while (space - position <= LONGEST_MODE && buffer[space] !== SPACE)
      digits = digits * 10 + digitAt(buffer, space++)
    const mode = modeOf(digits, space - position)
    if (mode === undefined || (canonical && digits === HISTORICAL_MODE))
      throw new MalformedObjectError(`tree entry ${entries.length} has an unknown mode`)
    const end = buffer.indexOf(0, space + 1)
    if (end < 0 || end + 1 + OID_BYTES > buffer.length) {
      throw new MalformedObjectError(`tree entry ${entries.length} is cut off`)
    }
    const name = buffer.subarray(space + 1, end)
    checkName(name)
    const entry = { mode, name, oid: buffer.toString('hex', end + 1, end + 1 + OID_BYTES) }
    if (previous !== undefined && compareEntries(previous, entry) >= 0) {
      throw new MalformedObjectError(`tree entry ${quote(name)} is twice in its tree or out of order`)
    }
    duplicates.check(entry)
    entries.push(entry)
    previous = entry
    position = end + 1 + OID_BYTES
  }
  return entries
}

/** Value of the octal digit at a place; not a number where there is none. */
function digitAt(buffer: Buffer, at: number): number {
  const digit = (buffer[at] ?? 0) - ZERO
  return digit >= 0 && digit <= 7 ? digit : Number.NaN
}

/** The mode with these digits, read as a decimal number. */
function modeOf(digits: number, length: number): TreeMode | undefined {
  if (digits === 40000 && length === 5) return '40000'
  if (length !== LONGEST_MODE) return undefined
  switch (digits) {
    case 100644:
    case HISTORICAL_MODE:
      return '100644'
    case 100755:
      return '100755'
    case 120000:
      return '120000'
    case 160000:
      return '160000'
    default:
      return undefined
  }
}

/**
 * The content of a tree object with these entries, in Git's order whatever order they come in.
 *
 * @throws MalformedObjectError when a name is not allowed or comes twice
 */
export function encodeTree(entries: Iterable<TreeEntry>): Buffer {
  const sorted = [...entries].sort(compareEntries)
  const parts: Uint8Array[] = []
  const seen: TreeEntry[] = []
  const duplicates = new DuplicateFinder(seen)
  for (const entry of sorted) {
    checkName(entry.name)
    if (!MODES.has(entry.mode))
      throw new MalformedObjectError(`tree entry ${quote(entry.name)} has an unknown mode`)
    const last = seen.at(-1)
    if (last !== undefined && compareEntries(last, entry) === 0) throw twice(entry.name)
    duplicates.check(entry)
    seen.push(entry)
    parts.push(Buffer.from(`${entry.mode} `, 'latin1'), entry.name, NUL, oidToBytes(entry.oid))
  }
  return Buffer.concat(parts)
}

const NUL = Buffer.alloc(1)

/** Git's order of tree entries: by bytes, a directory as if its name ended in `/`. */
function compareEntries(a: TreeEntry, b: TreeEntry): number {
  const shared = Math.min(a.name.length, b.name.length)
  const order = a.name.compare(b.name, 0, shared, 0, shared)
  if (order !== 0) return order
  return byteAfterName(a, shared) - byteAfterName(b, shared)
}

function byteAfterName(entry: TreeEntry, index: number): number {
  if (index < entry.name.length) return entry.name[index]!
  return entry.mode === '40000' ? SLASH : 0
}

/**
 * Finds a directory with the name of a file. In Git's order the two need not be neighbours (`a`, `a.b`, `a/`), but
 * all that stands between them begins with that name, so that most entries need no look-up.
 */
class DuplicateFinder {
  readonly #entries: readonly TreeEntry[]
  readonly #names = new Set<string>()
  #indexed = 0

  constructor(entries: readonly TreeEntry[]) {
    this.#entries = entries
  }

  /** Checks `entry` against all that came before it. @throws MalformedObjectError */
  check(entry: TreeEntry): void {
    if (entry.mode !== '40000') return
    const before = this.#entries.at(-1)
    if (
      before === undefined ||
      before.name.compare(
        entry.name,
        0,
        entry.name.length,
        0,
        Math.min(before.name.length, entry.name.length),
      ) !== 0
    )
      return
    for (; this.#indexed < this.#entries.length; this.#indexed++) {
      this.#names.add(this.#entries[this.#indexed]!.name.toString('latin1'))
    }
    if (this.#names.has(entry.name.toString('latin1'))) throw twice(entry.name)
  }
}

function checkName(name: Buffer): void {
  if (name.length === 0) throw new MalformedObjectError('tree entry without a name')
  for (let i = 0; i < name.length; i++) {
    if (name[i] === SLASH || name[i] === 0)
      throw new MalformedObjectError(`tree entry ${quote(name)} has "/" or NUL in its name`)
  }
  if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) {
    throw new MalformedObjectError(`tree entry ${quote(name)} names a directory link`)
  }
}

function twice(name: Buffer): MalformedObjectError {
  return new MalformedObjectError(`tree entry ${quote(name)} is twice in its tree`)
}

function quote(name: Buffer): string {
  return JSON.stringify(name.toString('utf8', 0, 256))
}
