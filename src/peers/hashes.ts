/** Hash parts of store paths and Git ids, as messages have them (20 bytes each, one after the other) and as the store names them. */
import { HASH_BYTES, OID_BYTES } from '../../protocol/index.ts'
import { type Oid, oidFromBytes, oidToBytes } from '../git/oid.ts'
import { nix32Decode, nix32Encode } from '../nix/base32.ts'

/** Hash parts (32 nix32 characters each) as the bytes of a list. */
export function packHashes(hashes: readonly string[]): Uint8Array {
  return Buffer.concat(hashes.map((hash) => nix32Decode(hash)))
}

export function unpackHashes(list: Uint8Array): string[] {
  return slices(list, HASH_BYTES).map(nix32Encode)
}

/** Git object ids as the bytes of a list. */
export function packOids(oids: readonly Oid[]): Uint8Array {
  return Buffer.concat(oids.map((oid) => oidToBytes(oid)))
}

export function unpackOids(list: Uint8Array): Oid[] {
  return slices(list, OID_BYTES).map((bytes) => oidFromBytes(bytes))
}

function slices(list: Uint8Array, width: number): Uint8Array[] {
  return Array.from({ length: list.length / width }, (_, i) => list.subarray(i * width, (i + 1) * width))
}
