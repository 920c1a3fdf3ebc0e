/**
 * Splicing: what makes one gzip member of blobs that lie deflated in packs, without inflating them.
 *
 * `DeflateScanner` finds where a zlib stream's last block begins and ends; a `SpliceRecord` keeps that (`Sidecar` on disk, one
 * for each pack); `splicePlan` says which bytes of the pack go out and which one or two change; `stored`, `gzip`,
 * `crc32Combine` and `adler32` are what goes around them. No Git objects, no NARs here: only streams and positions.
 */
export * from './adler32.ts'
export * from './crc32-combine.ts'
export * from './deflate-scanner.ts'
export * from './errors.ts'
export * from './gzip.ts'
export * from './record.ts'
export * from './sidecar.ts'
export * from './splice.ts'
export * from './stored.ts'
