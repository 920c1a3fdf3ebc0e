/**
 * The text of `nix.conf`, as far as binary caches go: which caches and keys it names, with one added or taken out.
 *
 * A line is `name = values`, `#` begins a comment. A line `name` replaces what lines before it said of the setting, a line
 * `extra-name` adds to it, so what is added goes to the end. Lines that are not concerned stay as they are, byte for byte.
 */

/** A binary cache as clients name it. */
export interface CacheEntry {
  readonly url: string
  /** `name:base64`; `undefined` for a cache that signs nothing. */
  readonly publicKey: string | undefined
}

/** Another file that is read in place of the line. */
export interface Include {
  readonly path: string
  /** Written `!include`: no failure when the file is missing. */
  readonly optional: boolean
}

const SUBSTITUTERS = 'substituters'
const KEYS = 'trusted-public-keys'
/** Older names that Nix still takes. */
const ALIASES: Readonly<Record<string, string>> = {
  'binary-caches': SUBSTITUTERS,
  'binary-cache-public-keys': KEYS,
}

interface Assignment {
  /** Without `extra-`, aliases resolved. */
  readonly name: string
  /** Everything up to the values, as written. */
  readonly head: string
  readonly extra: boolean
  readonly values: readonly string[]
}

/** The caches and keys that are in force, in order. */
export interface CacheNames {
  readonly substituters: readonly string[]
  readonly publicKeys: readonly string[]
}

/**
 * What the file says in the end, going on from what files before it said. Lines that include others are not followed:
 * `onInclude` gives what is in force after them.
 */
export function readCaches(
  text: string,
  before: CacheNames = { substituters: [], publicKeys: [] },
  onInclude: (include: Include, soFar: CacheNames) => CacheNames = (_, soFar) => soFar,
): CacheNames {
  let caches = before
  for (const line of text.split('\n')) {
    const include = /^\s*(!?)include\s+(\S+)\s*$/.exec(line)
    if (include !== null) {
      caches = onInclude({ path: include[2]!, optional: include[1] === '!' }, caches)
      continue
    }
    const assignment = parseLine(line)
    if (assignment === undefined) continue
    const property = assignment.name === SUBSTITUTERS ? 'substituters' : 'publicKeys'
    const kept = assignment.extra ? caches[property] : []
    caches = { ...caches, [property]: [...kept, ...assignment.values] }
  }
  return caches
}

/**
 * The text with the cache and its key in force. Another key of the same name is taken out: Nix knows one for a name. The
 * same text when nothing is to be done.
 */
export function addCache(text: string, { url, publicKey }: CacheEntry): string {
  const cleaned =
    publicKey === undefined
      ? text
      : withoutValues(text, KEYS, (key) => key !== publicKey && keyName(key) === keyName(publicKey))
  const { substituters, publicKeys } = readCaches(cleaned)
  let result = cleaned
  if (!substituters.some((other) => isSameUrl(other, url))) {
    result = withLine(result, `extra-${SUBSTITUTERS} = ${url}`)
  }
  if (publicKey !== undefined && !publicKeys.includes(publicKey)) {
    result = withLine(result, `extra-${KEYS} = ${publicKey}`)
  }
  return result
}

/** The text without the cache and its key; a line `extra-…` that names nothing any more goes as well. */
export function removeCache(text: string, { url, publicKey }: CacheEntry): string {
  const without = withoutValues(text, SUBSTITUTERS, (other) => isSameUrl(other, url))
  return publicKey === undefined ? without : withoutValues(without, KEYS, (key) => key === publicKey)
}

/** The part before the colon of a public key. */
export function keyName(key: string): string {
  return key.slice(0, key.indexOf(':'))
}

/** Whether two URLs mean the same cache: parameters such as `?priority=10` and a slash at the end do not count. */
export function isSameUrl(one: string, other: string): boolean {
  const bare = (url: string): string => url.replace(/\?.*$/, '').replace(/\/+$/, '')
  return bare(one) === bare(other)
}

function parseLine(line: string): Assignment | undefined {
  const match = /^(\s*(extra-)?([a-z-]+)\s*=\s*)([^#]*)/.exec(line)
  if (match === null) return undefined
  const [, head, extra, written, values] = match
  const name = ALIASES[written!] ?? written!
  if (name !== SUBSTITUTERS && name !== KEYS) return undefined
  return { name, head: head!, extra: extra !== undefined, values: values!.split(/\s+/).filter(Boolean) }
}

function withoutValues(text: string, name: string, isOut: (value: string) => boolean): string {
  return text
    .split('\n')
    .flatMap((line) => {
      const assignment = parseLine(line)
      if (assignment?.name !== name || !assignment.values.some(isOut)) return [line]
      const kept = assignment.values.filter((value) => !isOut(value))
      if (kept.length === 0 && assignment.extra && !line.includes('#')) return []
      const comment = line.includes('#') ? [line.slice(line.indexOf('#'))] : []
      return [[assignment.head.trimEnd(), ...kept, ...comment].join(' ')]
    })
    .join('\n')
}

function withLine(text: string, line: string): string {
  const end = text === '' || text.endsWith('\n') ? '' : '\n'
  return `${text}${end}${line}\n`
}
