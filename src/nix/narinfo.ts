import { parseContentAddress } from './content-address.ts'
import { NarInfoFormatError } from './errors.ts'
import { formatHash, type NixHash, parseHash } from './hash.ts'
import type { PathInfo } from './path-info.ts'
import { quote } from './quote.ts'
import { parseSignature } from './signature.ts'
import { compareStorePaths, DEFAULT_STORE_DIR, StorePath } from './store-path.ts'

/** A narinfo: a path and how a cache offers its NAR. */
export interface NarInfo extends PathInfo {
  /** Where the NAR is, relative to the cache or absolute; not checked beyond being one word. */
  readonly url: string
  /** How the file behind the URL is compressed, in Nix's words; not checked to be a known one. */
  readonly compression: string
  /** Hash of the file behind the URL. */
  readonly fileHash?: NixHash
  /** Length of the file behind the URL in bytes. */
  readonly fileSize?: number
}

export interface ParseNarInfoOptions {
  /** Store directory that the paths must be in; `/nix/store` unless given. */
  readonly storeDir?: string
  /**
   * Also accept what the original gachix keeps in its repositories: fields without a value where it is unknown, full
   * paths in `References` and `Deriver`, no newline at the end, `Sig` lines that hold no signature (they are dropped), and
   * a missing compression, which then is `none`.
   */
  readonly lenient?: boolean
}

/** Longest narinfo that is read, in characters. The largest known ones, with thousands of references, have some 200 KB. */
export const MAX_NARINFO_SIZE = 2 * 1024 * 1024

/** Most signatures that are read: each costs a verification where its key is trusted. */
export const MAX_SIGNATURES = 256

/** What Nix takes a missing compression for. */
const DEFAULT_COMPRESSION = 'bzip2'

/** What the original gachix means by it: it keeps plain NARs only. */
const STORED_COMPRESSION = 'none'

const SINGLE_FIELDS: ReadonlySet<string> = new Set([
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'Deriver',
  'CA',
])

/**
 * Reads a narinfo as Nix does, and refuses what versions of Nix read differently: a value begins one space after the
 * colon, every line ends in a line feed, no field but `Sig` is there twice. Unknown fields are skipped. References come
 * sorted and each once.
 *
 * @throws NarInfoFormatError naming the field
 */
export function parseNarInfo(text: string, options: ParseNarInfoOptions = {}): NarInfo {
  const { storeDir = DEFAULT_STORE_DIR, lenient = false } = options
  const { values, sigs } = readFields(text, lenient)

  const optional = <T>(key: string, read: (value: string) => T): T | undefined => {
    const value = values.get(key)
    if (value === undefined || (value === '' && lenient)) return undefined
    return reading(key, () => read(value))
  }
  const required = <T>(key: string, read: (value: string) => T): T => {
    const result = optional(key, read)
    if (result === undefined) throw new NarInfoFormatError(`the narinfo has no ${key}`)
    return result
  }
  const readPath = (value: string) =>
    lenient && value.startsWith('/')
      ? StorePath.parse(value, storeDir)
      : StorePath.fromBaseName(value, storeDir)

  const fileHash = optional('FileHash', (value) => parseHash(value))
  const fileSize = optional('FileSize', readSize)
  const deriver = optional('Deriver', (value) => (value === 'unknown-deriver' ? undefined : readPath(value)))
  const ca = values.get('CA') || undefined
  if (ca !== undefined) reading('CA', () => parseContentAddress(ca))
  return {
    storePath: required('StorePath', (value) => StorePath.parse(value, storeDir)),
    url: required('URL', readWord),
    compression: values.get('Compression')
      ? required('Compression', readWord)
      : lenient
        ? STORED_COMPRESSION
        : DEFAULT_COMPRESSION,
    ...(fileHash && { fileHash }),
    ...(fileSize && { fileSize }),
    narHash: required('NarHash', readNarHash),
    narSize: required('NarSize', readSize),
    references: optional('References', (value) => readReferences(value, readPath)) ?? [],
    ...(deriver && { deriver }),
    signatures: readSignatures(sigs, lenient),
    ...(ca && { ca }),
  }
}

/** The narinfo as Nix writes it for its clients; what is absent is left out, but for `References`. */
export function formatNarInfo(info: NarInfo): string {
  const lines = [
    `StorePath: ${info.storePath}`,
    `URL: ${info.url}`,
    `Compression: ${info.compression}`,
    ...(info.fileHash ? [`FileHash: ${formatHash(info.fileHash, 'nix32')}`] : []),
    ...(info.fileSize ? [`FileSize: ${info.fileSize}`] : []),
    `NarHash: ${formatHash(info.narHash, 'nix32')}`,
    `NarSize: ${info.narSize}`,
    `References: ${formatReferences(info)}`,
    ...(info.deriver ? [`Deriver: ${info.deriver.baseName}`] : []),
    ...info.signatures.map((signature) => `Sig: ${signature}`),
    ...(info.ca ? [`CA: ${info.ca}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

/**
 * The narinfo as it is kept in the repository, byte for byte what the original gachix writes for the same path: the ten
 * fields in fixed order, the file being the plain NAR, and nothing after the colon and space where a value is unknown.
 * Signatures after the first and the content address follow on lines of their own, which the original does not have.
 *
 * @param url `nar/<tree id>.nar`
 */
export function formatStoredNarInfo(info: PathInfo, url: string): string {
  const narHash = formatHash(info.narHash, 'nix32')
  const [signature = '', ...further] = info.signatures
  const lines = [
    `StorePath: ${info.storePath}`,
    `URL: ${url}`,
    'Compression: none',
    `FileHash: ${narHash}`,
    `FileSize: ${info.narSize}`,
    `NarHash: ${narHash}`,
    `NarSize: ${info.narSize}`,
    `References: ${formatReferences(info)}`,
    `Deriver: ${info.deriver?.baseName ?? ''}`,
    `Sig: ${signature}`,
    ...further.map((text) => `Sig: ${text}`),
    ...(info.ca ? [`CA: ${info.ca}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

interface Fields {
  readonly values: ReadonlyMap<string, string>
  readonly sigs: readonly string[]
}

function readFields(text: string, lenient: boolean): Fields {
  if (text.length > MAX_NARINFO_SIZE) {
    throw new NarInfoFormatError(
      `the narinfo has ${text.length} characters, more than the ${MAX_NARINFO_SIZE} allowed`,
    )
  }
  const values = new Map<string, string>()
  const sigs: string[] = []
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    if (newline === -1 && !lenient)
      throw new NarInfoFormatError('the last line of the narinfo does not end in a newline')
    const end = newline === -1 ? text.length : newline
    const line = text.slice(at, end)
    at = end + 1
    if (lenient && line.trim() === '') continue
    const [key, value] = readLine(line, lenient)
    if (key === 'Sig') {
      if (sigs.push(value) > MAX_SIGNATURES) {
        throw new NarInfoFormatError(`the narinfo has more than ${MAX_SIGNATURES} signatures`)
      }
    } else if (SINGLE_FIELDS.has(key)) {
      if (values.has(key)) throw new NarInfoFormatError(`the narinfo has ${key} more than once`)
      values.set(key, value)
    }
  }
  return { values, sigs }
}

function readLine(line: string, lenient: boolean): [key: string, value: string] {
  const colon = line.indexOf(':')
  if (colon < 1) throw new NarInfoFormatError(`the narinfo line ${quote(line)} is not "Key: value"`)
  const key = line.slice(0, colon)
  if (lenient) return [key, line.slice(colon + 1).trim()]
  if (line[colon + 1] !== ' ') {
    throw new NarInfoFormatError(`the narinfo line ${quote(line)} lacks the space after the colon`)
  }
  return [key, line.slice(colon + 2)]
}

function reading<T>(key: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new NarInfoFormatError(`the narinfo's ${key} is invalid: ${detail}`, { cause })
  }
}

function readWord(value: string): string {
  if (!/^[^\s\p{Cc}]+$/u.test(value)) throw new NarInfoFormatError(`${quote(value)} is not one word`)
  return value
}

function readSize(value: string): number {
  const size = /^[1-9]\d{0,15}$/.test(value) ? Number(value) : Number.NaN
  if (!Number.isSafeInteger(size)) {
    throw new NarInfoFormatError(
      `${quote(value)} is not a decimal number between 1 and ${Number.MAX_SAFE_INTEGER}`,
    )
  }
  return size
}

function readNarHash(value: string): NixHash {
  const hash = parseHash(value)
  if (hash.algorithm !== 'sha256') throw new NarInfoFormatError(`${quote(value)} is not a sha256 hash`)
  return hash
}

function readReferences(value: string, readPath: (text: string) => StorePath): StorePath[] {
  const paths = new Map<string, StorePath>()
  for (const word of value.split(' ')) {
    if (word === '') continue
    const path = readPath(word)
    paths.set(path.baseName, path)
  }
  return [...paths.values()].sort(compareStorePaths)
}

function readSignatures(sigs: readonly string[], lenient: boolean): string[] {
  return sigs.filter((text) => {
    // The field of a package without signatures in the repository; an error for each of a million would be dear.
    if (lenient && text === '') return false
    try {
      parseSignature(text)
      return true
    } catch (cause) {
      if (lenient) return false
      throw new NarInfoFormatError('the narinfo has a Sig that is no signature', { cause })
    }
  })
}

function formatReferences(info: PathInfo): string {
  return [...info.references]
    .sort(compareStorePaths)
    .map((reference) => reference.baseName)
    .join(' ')
}
