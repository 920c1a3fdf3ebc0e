/**
 * Names of NAR entries as names of Git tree entries, and back.
 *
 * Git refuses `.git` in a tree, in any case and in every spelling that NTFS or HFS+ would take for it, because such a
 * tree would write into `.git` on checkout; `git fsck --strict` reports them and servers refuse them. A NAR may hold
 * them. They are stored as `gachix-name-` and the name's bytes in hex, and so is every name that begins with that
 * prefix itself, so that the mapping is one to one. `protocol/SPEC.md` describes it for other implementations.
 */
const PREFIX = 'gachix-name-'
const PREFIX_BYTES = Buffer.from(PREFIX)

/** Name of the one entry in the tree of a store path that is a file or a symbolic link itself. */
export const SINGLE_FILE = Buffer.from('gachix-single-file')

/** What the escape depends on beside the name. */
export interface NameContext {
  /** Whether the entry lies directly in the package's root directory. */
  readonly root: boolean
  readonly type: 'file' | 'symlink' | 'directory'
}

/** The name under which an entry is kept in a Git tree. */
export function toGitName(name: Buffer, context: NameContext): Buffer {
  return needsEscape(name, context) ? Buffer.from(PREFIX + name.toString('hex')) : name
}

/**
 * The entry's own name. A name that merely looks escaped, of another writer's making, is taken as it is: only what
 * `toGitName` would have escaped is turned back.
 */
export function fromGitName(name: Buffer, context: NameContext): Buffer {
  if (!startsWith(name, PREFIX_BYTES)) return name
  const hex = name.toString('latin1', PREFIX.length)
  if (!/^([0-9a-f]{2})+$/.test(hex)) return name
  const decoded = Buffer.from(hex, 'hex')
  return needsEscape(decoded, context) ? decoded : name
}

function needsEscape(name: Buffer, { root, type }: NameContext): boolean {
  // A root directory with this one entry would read as a package that is a single file.
  if (root && name.equals(SINGLE_FILE)) return true
  if (name[0] === PREFIX_BYTES[0] && startsWith(name, PREFIX_BYTES)) return true
  if (!mayBeDotGit(name)) return false
  const parts = name.toString('latin1').split('\\')
  if (isHfs(name, '.git') || parts.some((part) => NTFS_DOT_GIT.test(part))) return true
  // Git reads these two, and forbids what is not a file it could read.
  if (type === 'file') return false
  if (isHfs(name, '.gitmodules') || parts.some((part) => NTFS_GITMODULES.test(part))) return true
  return type === 'directory' && (isHfs(name, '.gitattributes') || NTFS_GITATTRIBUTES.test(parts[0]!))
}

/**
 * Cheap test that most names fail: all that Git takes for its own hold a `~` or, in any case, `git`, between whose letters there may
 * be code points that HFS+ ignores.
 */
function mayBeDotGit(name: Buffer): boolean {
  let letters = 0
  for (let i = 0; i < name.length; i++) {
    const byte = name[i]!
    if (byte === TILDE) return true
    if (byte >= NOT_ASCII) continue
    const lower = byte | LOWER_CASE
    if (lower === G) letters = 1
    else if (letters === 1 && lower === I) letters = 2
    else if (letters === 2 && lower === T) return true
    else letters = 0
  }
  return false
}

const TILDE = 0x7e
const G = 0x67
const I = 0x69
const T = 0x74
/** The bit that makes a letter of ASCII a small one. */
const LOWER_CASE = 0x20
const NOT_ASCII = 0x80

function startsWith(name: Buffer, prefix: Buffer): boolean {
  return name.length >= prefix.length && name.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}

/**
 * HFS+ ignores these code points when it compares names: zero-width and direction marks, and the byte order mark.
 */
const HFS_IGNORED = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/gu

/** Git takes the first malformed character, which decodes to U+FFFD, or a noncharacter for the end of the name. */
const HFS_END = /[\ufffd-\uffff]/u

function isHfs(name: Buffer, wanted: string): boolean {
  const [text = ''] = name.toString('utf8').split(HFS_END, 1)
  return text.replace(HFS_IGNORED, '').toLowerCase() === wanted
}

/** NTFS drops dots and spaces at the end of a name, and takes what follows a `:` for the name of a stream. */
const NTFS_TAIL = '[ .]*(:|$)'
const NTFS_DOT_GIT = new RegExp(`^(\\.git|git~1)${NTFS_TAIL}`, 'i')
const NTFS_GITMODULES = ntfsPattern('\\.gitmodules', 'gitmod', 'gi7eba')
const NTFS_GITATTRIBUTES = ntfsPattern('\\.gitattributes', 'gitatt', 'gi7d29')

/**
 * A name, the four numbered short names that NTFS may give it, and those made from a hash: eight characters in all, a
 * beginning of six, a tilde and a number.
 */
function ntfsPattern(name: string, short: string, hashed: string): RegExp {
  const beginnings = Array.from(hashed, (_, i) => hashed.slice(0, i + 1)).toReversed()
  const numbered = `(?=.{8}${NTFS_TAIL})(${beginnings.join('|')}|)~[1-9][0-9]*`
  return new RegExp(`^(${name}|${short}~[1-4]|${numbered})${NTFS_TAIL}`, 'i')
}
