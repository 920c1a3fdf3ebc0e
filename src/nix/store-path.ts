import { StorePathError } from './errors.ts'
import { quote } from './quote.ts'

/** Where Nix keeps its store unless it was built or told otherwise. */
export const DEFAULT_STORE_DIR = '/nix/store'

/** Digits of the hash part of a store path: 160 bits in nix32. */
export const HASH_PART_LENGTH = 32

/** Longest name of a store path, without hash part and dash. */
export const MAX_NAME_LENGTH = 211

const HASH_PART = /^[0-9abcdfghijklmnpqrsvwxyz]{32}$/
const NAME = /^[A-Za-z0-9+._?=-]+$/

/** Whether the text is the hash part of a store path: 32 nix32 digits. */
export function isHashPart(text: string): boolean {
  return HASH_PART.test(text)
}

/**
 * Why the text cannot be the name of a store path, or `undefined` when it can. The strict union of what the versions of
 * Nix refuse: newer ones also refuse `.`, `..` and what starts with `.-` or `..-`.
 */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'its name is empty'
  if (name.length > MAX_NAME_LENGTH) return `its name is longer than ${MAX_NAME_LENGTH} characters`
  if (!NAME.test(name)) return 'its name holds characters other than A-Z a-z 0-9 + - . _ ? ='
  if (/^\.\.?(-|$)/.test(name)) return 'its name is ".", ".." or starts with ".-" or "..-"'
  return undefined
}

/** A checked store path: immutable, compared by its text. */
export class StorePath {
  /** Store directory: absolute, without trailing slash. */
  readonly storeDir: string
  /** Hash part: 32 nix32 digits. */
  readonly hash: string
  /** What follows the hash part and a dash. */
  readonly name: string

  /**
   * @throws StorePathError when hash part, name or store directory break Nix's rules
   */
  constructor(hash: string, name: string, storeDir: string = DEFAULT_STORE_DIR) {
    if (storeDir !== DEFAULT_STORE_DIR) checkStoreDir(storeDir)
    const fault = isHashPart(hash) ? nameFault(name) : 'it does not start with 32 nix32 digits and a dash'
    if (fault !== undefined)
      throw new StorePathError(`${quote(`${hash}-${name}`)} is not a store path: ${fault}`)
    this.hash = hash
    this.name = name
    this.storeDir = storeDir
  }

  /**
   * Reads a full path, `<storeDir>/<hash>-<name>` and nothing after it.
   *
   * @throws StorePathError
   */
  static parse(text: string, storeDir: string = DEFAULT_STORE_DIR): StorePath {
    return StorePath.fromBaseName(insideStore(text, storeDir), storeDir)
  }

  /**
   * Reads the last segment of a store path, `<hash>-<name>`.
   *
   * @throws StorePathError
   */
  static fromBaseName(base: string, storeDir: string = DEFAULT_STORE_DIR): StorePath {
    if (base[HASH_PART_LENGTH] !== '-') {
      throw new StorePathError(
        `${quote(base)} is not a store path: it does not start with 32 nix32 digits and a dash`,
      )
    }
    return new StorePath(base.slice(0, HASH_PART_LENGTH), base.slice(HASH_PART_LENGTH + 1), storeDir)
  }

  /**
   * The store path that a path is or lies in: `/nix/store/<hash>-<name>/bin/x` gives `/nix/store/<hash>-<name>`. Purely
   * textual, so a path with `..` segments is refused; resolve symlinks before.
   *
   * @throws StorePathError
   */
  static containing(path: string, storeDir: string = DEFAULT_STORE_DIR): StorePath {
    const [base = '', ...rest] = insideStore(path, storeDir).split('/')
    if (rest.includes('..')) throw new StorePathError(`${quote(path)} holds "..", give the path without it`)
    return StorePath.fromBaseName(base, storeDir)
  }

  /** `<hash>-<name>`. */
  get baseName(): string {
    return `${this.hash}-${this.name}`
  }

  /** The full path. */
  toString(): string {
    return `${this.storeDir}/${this.hash}-${this.name}`
  }

  toJSON(): string {
    return this.toString()
  }

  /** Whether both are the same path in the same store directory. */
  equals(other: StorePath): boolean {
    return this.hash === other.hash && this.name === other.name && this.storeDir === other.storeDir
  }
}

/** Order of store paths in byte order of their base names, as Nix sorts references: negative, 0 or positive. */
export function compareStorePaths(a: StorePath, b: StorePath): number {
  const left = a.baseName
  const right = b.baseName
  return left < right ? -1 : left > right ? 1 : 0
}

/**
 * Checks a store directory: absolute, no trailing slash, no empty, `.` or `..` segment, no white space or control
 * characters.
 *
 * @throws StorePathError
 */
export function checkStoreDir(storeDir: string): void {
  if (!/^(\/(?!\.{1,2}(\/|$))[^/\s\p{Cc}]+)+$/u.test(storeDir)) {
    throw new StorePathError(
      `${quote(storeDir)} is no store directory: it must be an absolute path without trailing slash, such as ${DEFAULT_STORE_DIR}`,
    )
  }
}

function insideStore(path: string, storeDir: string): string {
  if (path.startsWith(storeDir) && path[storeDir.length] === '/') return path.slice(storeDir.length + 1)
  throw new StorePathError(`${quote(path)} is not in the store directory ${storeDir}`)
}
