/** Longest ref name that gachix writes, in bytes of UTF-8. */
export const MAX_REF_NAME_BYTES = 1024

const FORBIDDEN_CHARACTER = /[\0-\x20\x7f~^:?*[\\]/
const SURROGATE = /[\ud800-\udfff]/

/**
 * Whether the text is a full ref name that gachix may write: it begins with `refs/`, holds to the rules of
 * `git check-ref-format`, is well-formed Unicode and has at most `MAX_REF_NAME_BYTES`.
 */
export function isRefName(name: string): boolean {
  if (!name.startsWith('refs/') || name.length > MAX_REF_NAME_BYTES) return false
  if (FORBIDDEN_CHARACTER.test(name) || name.includes('..') || name.includes('@{') || name.endsWith('.'))
    return false
  for (const component of name.split('/')) {
    if (component === '' || component.startsWith('.') || component.endsWith('.lock')) return false
  }
  return name.isWellFormed() && Buffer.byteLength(name) <= MAX_REF_NAME_BYTES
}

/**
 * Order of two names by the bytes of their UTF-8 form, which is the order of `packed-refs`. JavaScript's own order
 * differs for characters beyond the basic plane.
 */
export function compareRefNames(a: string, b: string): number {
  if (a === b) return 0
  if (SURROGATE.test(a) || SURROGATE.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b))
  return a < b ? -1 : 1
}
