import { createHash, type Hash, hash } from 'node:crypto'
import { GachixError } from '../util/errors.ts'

/** A SHA-1 Git object id as 40 lower-case hexadecimal digits. */
export type Oid = string

/** The four kinds of object that Git knows. */
export type GitObjectType = 'commit' | 'tree' | 'blob' | 'tag'

/** Length of an object id in text form. */
export const OID_HEX_LENGTH = 40
/** Length of an object id in binary form, in bytes. */
export const OID_BYTES = 20

/** Id of the tree without entries. */
export const EMPTY_TREE: Oid = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'
/** Id of the blob without bytes. */
export const EMPTY_BLOB: Oid = 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'

/** Up to this size one copy and a one-shot hash are quicker than a hash object. */
const ONE_SHOT_BYTES = 8192

const OID = /^[0-9a-f]{40}$/
const OBJECT_TYPE = /^(?:commit|tree|blob|tag)$/

/** A text that should be an object id is none. */
export class InvalidOidError extends GachixError {
  constructor(text: string) {
    super(
      'ERR_INVALID_OID',
      `not a Git object id (40 lower-case hexadecimal digits): ${JSON.stringify(text.slice(0, 64))}`,
    )
  }
}

/** Whether the text is a well-formed object id. */
export function isOid(text: string): text is Oid {
  return text.length === OID_HEX_LENGTH && OID.test(text)
}

/** Whether the text names one of the four object types. */
export function isGitObjectType(text: string): text is GitObjectType {
  return OBJECT_TYPE.test(text)
}

/**
 * The 20 bytes of an object id.
 *
 * @throws InvalidOidError when the text is not an object id
 */
export function oidToBytes(oid: Oid): Buffer {
  if (!isOid(oid)) throw new InvalidOidError(oid)
  return Buffer.from(oid, 'hex')
}

/**
 * Writes the 20 bytes of an object id into memory that lies ready, for look-ups that come by the hundred thousand.
 *
 * @param target at least 20 bytes; what it holds afterwards means nothing when the text is no object id
 * @returns whether the text is an object id
 */
export function writeOid(oid: string, target: Uint8Array): boolean {
  if (oid.length !== OID_HEX_LENGTH) return false
  for (let i = 0; i < OID_BYTES; i++) {
    const high = digitOf(oid.charCodeAt(2 * i))
    const low = digitOf(oid.charCodeAt(2 * i + 1))
    if ((high | low) < 0) return false
    target[i] = (high << 4) | low
  }
  return true
}

/** Value of a lower-case hexadecimal digit; negative for any other character. */
function digitOf(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1
}

/** The object id in the 20 bytes at `offset`. @throws RangeError when fewer bytes are there */
export function oidFromBytes(bytes: Uint8Array, offset = 0): Oid {
  if (offset < 0 || offset + OID_BYTES > bytes.length) throw new RangeError('object id outside of its buffer')
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('hex', offset, offset + OID_BYTES)
}

/** A SHA-1 hash that has taken in the header of an object of `size` bytes and waits for the content. */
export function createObjectHash(type: GitObjectType, size: number): Hash {
  return createHash('sha1').update(`${type} ${size}\0`)
}

/** The id that Git gives to an object with this type and content. */
export function hashObject(type: GitObjectType, data: Uint8Array): Oid {
  if (data.length > ONE_SHOT_BYTES) return createObjectHash(type, data.length).update(data).digest('hex')
  return hash('sha1', Buffer.concat([Buffer.from(`${type} ${data.length}\0`, 'latin1'), data]), 'hex')
}

/**
 * Ids in binary, one after the other, in memory of their own: such lists are kept for long, or sent to threads, and a slab that Node cuts
 * small buffers from would stay, or go along, as a whole.
 */
export function oidsToBytes(oids: readonly Oid[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow(OID_BYTES * oids.length)
  bytes.write(oids.join(''), 'hex')
  return bytes
}
