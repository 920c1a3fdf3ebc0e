import type { Oid } from '../oid.ts'
/**
 * The refs in which a repository publishes packages: `refs/<hash>/narinfo` (a blob), `refs/<hash>/result` (a commit) and,
 * for a package added without its references, `refs/<hash>/tree`.
 */

/** Which of a package's objects a ref names. */
export type PackageRefKind = 'narinfo' | 'result' | 'tree'

/** What the name of a package's ref says. */
export interface PackageRefName {
  /** 32 nix32 characters, the hash part of the store path. */
  readonly hash: string
  readonly kind: PackageRefKind
}

/** Length of a package's hash part. */
export const PACKAGE_HASH_LENGTH = 32

/** What the names of packages' refs begin with. */
export const PACKAGE_REFS_PREFIX = 'refs/'

const HASH_START = PACKAGE_REFS_PREFIX.length
const KIND_START = HASH_START + PACKAGE_HASH_LENGTH + 1
const PACKAGE_HASH = /^[0-9a-df-np-sv-z]{32}$/
const PACKAGE_REF = /^refs\/[0-9a-df-np-sv-z]{32}\/(?:narinfo|result|tree)$/

/** Name of one of a package's refs. */
export function packageRef(hash: string, kind: PackageRefKind): string {
  return `refs/${hash}/${kind}`
}

/** Whether the text is the hash part of a store path. */
export function isPackageHash(text: string): boolean {
  return PACKAGE_HASH.test(text)
}

/** Takes a package's ref name apart; `undefined` for any other ref. */
export function parsePackageRef(name: string): PackageRefName | undefined {
  if (!PACKAGE_REF.test(name)) return undefined
  return {
    hash: name.slice(HASH_START, HASH_START + PACKAGE_HASH_LENGTH),
    kind: name.slice(KIND_START) as PackageRefKind,
  }
}

/** Whether the name is that of a published package's narinfo. */
export function isNarinfoRef(name: string): boolean {
  return name.length === KIND_START + 'narinfo'.length && PACKAGE_REF.test(name)
}

function isKind(text: string): text is PackageRefKind {
  return text === 'narinfo' || text === 'result' || text === 'tree'
}

/** A package's refs. */
export interface PackageRefs {
  readonly hash: string
  /** The narinfo blob. */
  readonly narinfo: Oid
  /** The commit. */
  readonly result?: Oid
  /** The tree, for a package that was added without its references. */
  readonly tree?: Oid
}

/**
 * The packages among refs in byte order of their names, one that has no narinfo left out.
 */
export function* groupPackages(refs: Iterable<{ name: string; oid: Oid }>): Generator<PackageRefs> {
  let hash = ''
  let found: { narinfo?: Oid; result?: Oid; tree?: Oid } = {}
  for (const { name, oid } of refs) {
    // The second ref of a package costs no look at its hash part.
    if (hash === '' || !name.startsWith(hash, HASH_START)) {
      const parsed = parsePackageRef(name)
      if (parsed === undefined) continue
      if (found.narinfo !== undefined) yield { hash, ...found, narinfo: found.narinfo }
      hash = parsed.hash
      found = {}
    }
    const kind = name.slice(KIND_START)
    if (name[KIND_START - 1] === '/' && isKind(kind)) found[kind] = oid
  }
  if (found.narinfo !== undefined) yield { hash, ...found, narinfo: found.narinfo }
}
