import { MalformedObjectError } from './object-errors.ts'
import { InvalidOidError, isOid, OID_HEX_LENGTH, type Oid } from './oid.ts'

/** What goes into a commit object. */
export interface CommitFields {
  readonly tree: Oid
  readonly parents: readonly Oid[]
  /** As it stands after `author `: `name <mail> seconds zone`. */
  readonly author: string
  /** As it stands after `committer `. */
  readonly committer: string
  /** Everything after the empty line, byte for byte; text is encoded as UTF-8. */
  readonly message: Uint8Array | string
}

/** A parsed commit. Headers other than the four are left out (`gpgsig`, `mergetag`, `encoding`, ...). */
export interface Commit extends CommitFields {
  readonly message: Buffer
}

/**
 * The content of a commit object.
 *
 * @throws InvalidOidError when an id is none
 * @throws MalformedObjectError when author or committer hold a line break or NUL
 */
export function encodeCommit(commit: CommitFields): Buffer {
  for (const oid of [commit.tree, ...commit.parents]) if (!isOid(oid)) throw new InvalidOidError(oid)
  for (const line of [commit.author, commit.committer]) {
    if (/[\n\0]/.test(line))
      throw new MalformedObjectError('an author line of a commit holds a line break or NUL')
  }
  const lines = [
    `tree ${commit.tree}`,
    ...commit.parents.map((parent) => `parent ${parent}`),
    `author ${commit.author}`,
    `committer ${commit.committer}`,
    '',
    '',
  ]
  const message = typeof commit.message === 'string' ? Buffer.from(commit.message) : commit.message
  return Buffer.concat([Buffer.from(lines.join('\n')), message])
}

/**
 * Parses a commit object: `tree`, any number of `parent`, `author`, `committer`, further headers, an empty line, the
 * message. Author lines are decoded as UTF-8.
 *
 * @throws MalformedObjectError when one of these is missing or out of order
 */
export function parseCommit(data: Uint8Array): Commit {
  const buffer = Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
  let position = 0
  const peek = (name: string): boolean =>
    buffer.toString('latin1', position, position + name.length + 1) === `${name} `
  const line = (name: string): string => {
    const end = buffer.indexOf(10, position)
    if (end < 0 || !peek(name)) throw new MalformedObjectError(`commit without its "${name}" line`)
    const value = buffer.toString('utf8', position + name.length + 1, end)
    position = end + 1
    return value
  }
  const oidLine = (name: string): Oid => {
    if (buffer[position + name.length + 1 + OID_HEX_LENGTH] !== 10) {
      throw new MalformedObjectError(`commit with a malformed "${name}" line`)
    }
    const oid = line(name)
    if (!isOid(oid)) throw new MalformedObjectError(`commit with a malformed "${name}" line`)
    return oid
  }
  const tree = oidLine('tree')
  const parents: Oid[] = []
  while (peek('parent')) parents.push(oidLine('parent'))
  const author = line('author')
  const committer = line('committer')
  while (position < buffer.length && buffer[position] !== 10) {
    const end = buffer.indexOf(10, position)
    if (end < 0) throw new MalformedObjectError('commit with a header that does not end')
    position = end + 1
  }
  // A commit without a message may end after its headers, without the empty line.
  return { tree, parents, author, committer, message: buffer.subarray(Math.min(position + 1, buffer.length)) }
}
