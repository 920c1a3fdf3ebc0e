/**
 * The kinds of setting that name sources of packages: machines with Nix, Git repositories, binary caches, and the keys that
 * are trusted.
 */
import { basename } from 'node:path'
import * as z from 'zod'
import { parseBuilderUrl } from '../ingest/builder/url.ts'
import { parseUpstreamUrl } from '../ingest/upstream/url.ts'
import { PublicKey } from '../nix/signature.ts'
import { errorMessage } from '../util/errors.ts'
import type { Kind } from './values.ts'

/** A source of packages as the settings have it. */
export interface SourceSetting {
  readonly url: string
  /** Unique among all sources of all kinds. Derived from the URL where none is given. */
  readonly name: string
  /** Whether packages of this source must be signed by a trusted key, unless their content has their address. */
  readonly requireSignatures: boolean
  /** Keys that are trusted for packages of this source, beside those of `trust.public_keys`. */
  readonly publicKeys: readonly PublicKey[]
}

/** Names end up in log lines, tables and on command lines, beside URLs and paths. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,63}$/
/** Names that mean the node itself, or its daemon. */
const RESERVED = ['local', 'store']

const publicKey = z.string().transform((text, context) => {
  try {
    return PublicKey.parse(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: errorMessage(error), params: { said: true } })
    return z.NEVER
  }
})

/** Public keys in Nix's form. */
export const publicKeys: Kind<readonly PublicKey[]> = {
  shape: 'list',
  schema: z.array(publicKey),
  expected: 'a list of public keys',
  expectedItem: 'a public key (name:base64)',
  show: (keys) => keys.map(String),
}

/** A list of sources: each a URL, or a mapping of a URL and more about it. */
function sources(
  isUrl: (text: string) => boolean,
  many: string,
  one: string,
): Kind<readonly SourceSetting[]> {
  const item = z.preprocess(
    asMapping,
    z
      .strictObject({
        url: z.string().refine(isUrl),
        name: z
          .string()
          .refine((name) => NAME.test(name) && !RESERVED.includes(name))
          .default(''),
        require_signatures: z.boolean().default(true),
        public_keys: z.array(publicKey).default([]),
      })
      .transform(({ url, name, require_signatures, public_keys }) => ({
        ...{ url, name, requireSignatures: require_signatures, publicKeys: public_keys },
      })),
  )
  return {
    shape: 'list',
    schema: z.array(item),
    expected: `a list of ${many}`,
    expectedItem: one,
    expectedField: {
      url: one,
      name: `a name of letters, digits and "._:@+-" that is none of ${RESERVED.join(', ')}`,
      require_signatures: 'true or false',
      public_keys: publicKeys.expected,
    },
    show: (settings) => settings.map(showSource),
  }
}

/** URLs of machines with Nix on them. */
export const builders = sources(
  passes(parseBuilderUrl),
  'ssh-ng:// or ssh:// URLs',
  'ssh-ng://[user@]host[:port] or ssh://[user@]host[:port]',
)

/** Places of Git repositories in every form that Git takes. */
export const remotes = sources(
  isRemote,
  'Git repositories',
  'a Git repository (an ssh, https, http or file URL, user@host:path, or a path)',
)

/** Binary caches of Nix. */
export const upstreams = sources(
  passes(parseUpstreamUrl),
  'binary caches',
  'the URL of a binary cache (https://, http:// or file:///, without parameters)',
)

function passes(parse: (text: string) => unknown): (text: string) => boolean {
  return (text) => {
    try {
      parse(text)
      return true
    } catch {
      return false
    }
  }
}

/** Git runs programs for some forms of URL (`ext::`), and would take a host that begins with `-` for an option. */
function isRemote(text: string): boolean {
  if (text.trim() === '' || text.startsWith('-') || /[\u0000-\u001f\u007f]/.test(text)) return false
  if (/^[A-Za-z0-9+.-]+::/.test(text)) return false
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]
  if (scheme === undefined) return true
  const url = URL.parse(text)
  return (
    url !== null &&
    ['ssh', 'https', 'http', 'file'].includes(scheme.toLowerCase()) &&
    !url.hostname.startsWith('-') &&
    !url.username.startsWith('-')
  )
}

/** Values that are left empty count as not given, as they do elsewhere. */
function asMapping(value: unknown): unknown {
  if (typeof value === 'string') return { url: value }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null))
}

function showSource(setting: SourceSetting): unknown {
  return {
    url: setting.url,
    name: setting.name,
    ...(!setting.requireSignatures && { require_signatures: false }),
    ...(setting.publicKeys.length > 0 && { public_keys: setting.publicKeys.map(String) }),
  }
}

/** A given name that another source has too. */
export interface NameConflict {
  readonly key: string
  readonly index: number
  readonly name: string
  /** The source that has it, for instance `store.remotes[0]`. */
  readonly other: string
}

/**
 * Gives every source without a name one that is derived from its URL and unlike all others: its host, else the last
 * part of its path, with a number where that is taken.
 *
 * @param lists the sources by the keys of their lists
 */
export function nameSources(lists: ReadonlyMap<string, readonly SourceSetting[]>): {
  readonly named: ReadonlyMap<string, readonly SourceSetting[]>
  readonly conflicts: readonly NameConflict[]
} {
  const taken = new Map<string, string>(RESERVED.map((name) => [name, name]))
  const conflicts: NameConflict[] = []
  for (const [key, list] of lists) {
    for (const [index, { name }] of list.entries()) {
      if (name === '') continue
      const other = taken.get(name)
      if (other === undefined) taken.set(name, `${key}[${index}]`)
      else conflicts.push({ key, index, name, other })
    }
  }
  const free = (base: string, key: string): string => {
    let name = base
    for (let number = 2; taken.has(name); number++) name = `${base}-${number}`
    taken.set(name, key)
    return name
  }
  const named = new Map(
    Array.from(lists, ([key, list]) => [
      key,
      list.map((setting) =>
        setting.name === '' ? { ...setting, name: free(deriveName(setting.url), key) } : setting,
      ),
    ]),
  )
  return { named, conflicts }
}

const LONGEST_DERIVED = 56

function deriveName(url: string): string {
  return (
    place(url)
      .replace(/[[\]]/g, '')
      .replace(/[^A-Za-z0-9._:@+-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
      .slice(0, LONGEST_DERIVED) || 'source'
  )
}

/** Host with port of a URL or of `user@host:path`, else the last part of the path. */
function place(url: string): string {
  const parsed = url.includes('://') ? URL.parse(url) : null
  if (parsed !== null) return parsed.host || basename(parsed.pathname)
  const host = /^(?:[^/@]*@)?(\[[^\]/]*\]|[^/:]+):/.exec(url)?.[1]
  return host ?? basename(url)
}
