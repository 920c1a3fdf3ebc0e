/**
 * What objects refer to, read off their bytes. Only the places of ids are looked for: a walk over millions of objects has no
 * use for names, dates and messages.
 */
import { MalformedObjectError } from '../object-errors.ts'
import { type GitObjectType, isGitObjectType, isOid, OID_BYTES, OID_HEX_LENGTH, type Oid } from '../oid.ts'

/** An entry of a tree. */
export interface TreeLink {
  readonly kind: 'tree' | 'blob'
  /** The entry's name, within the tree's bytes. */
  readonly name: Buffer
  /** Where the 20 bytes of the id begin in the tree. */
  readonly at: number
}

const TREE_PREFIX = 'tree '
const PARENT_PREFIX = 'parent '
const NEWLINE = 0x0a
const SPACE = 0x20
/** First digits of modes, as their characters: `4` of a directory, `16` of a submodule. */
const FOUR = 0x34
const ONE = 0x31
const SIX = 0x36

/**
 * The tree and the parents of a commit.
 *
 * @throws MalformedObjectError
 */
export function commitLinks(data: Buffer): { tree: Oid; parents: Oid[] } {
  const tree = idLine(data, 0, TREE_PREFIX)
  if (tree === undefined) throw new MalformedObjectError('a commit does not begin with its tree')
  const parents: Oid[] = []
  let at = TREE_PREFIX.length + OID_HEX_LENGTH + 1
  for (;;) {
    const parent = idLine(data, at, PARENT_PREFIX)
    if (parent === undefined) return { tree, parents }
    parents.push(parent)
    at += PARENT_PREFIX.length + OID_HEX_LENGTH + 1
  }
}

/**
 * What a tag names.
 *
 * @throws MalformedObjectError
 */
export function tagLink(data: Buffer): { target: Oid; type: GitObjectType } {
  const target = idLine(data, 0, 'object ')
  const line = data.toString(
    'latin1',
    'object '.length + OID_HEX_LENGTH + 1,
    'object '.length + OID_HEX_LENGTH + 16,
  )
  const type = /^type ([a-z]+)\n/.exec(line)?.[1] ?? ''
  if (target === undefined || !isGitObjectType(type))
    throw new MalformedObjectError('a tag does not begin with an object and its type')
  return { target, type }
}

/**
 * The directories and files of a tree in the order of a NAR: by the bytes of their names, where Git has directories as if
 * their names ended in `/`. Submodules are left out: their commits are not in the repository.
 *
 * @throws MalformedObjectError
 */
export function treeLinks(data: Buffer): TreeLink[] {
  const links: TreeLink[] = []
  let directories = 0
  for (let position = 0; position < data.length; ) {
    const space = data.indexOf(SPACE, position)
    const end = space < 0 ? -1 : data.indexOf(0, space)
    if (end < 0 || end + 1 + OID_BYTES > data.length) throw new MalformedObjectError('a tree is cut off')
    const at = end + 1
    const directory = data[position] === FOUR
    if (directory) directories++
    if (!(data[position] === ONE && data[position + 1] === SIX))
      links.push({ kind: directory ? 'tree' : 'blob', name: data.subarray(space + 1, end), at })
    position = at + OID_BYTES
  }
  // Without directories both orders are one.
  if (directories > 0) links.sort((a, b) => a.name.compare(b.name))
  return links
}

/** The id in a line `<prefix><id>` that begins at `at`; `undefined` when there is no such line. */
function idLine(data: Buffer, at: number, prefix: string): Oid | undefined {
  const start = at + prefix.length
  if (data.toString('latin1', at, start) !== prefix || data[start + OID_HEX_LENGTH] !== NEWLINE)
    return undefined
  const oid = data.toString('latin1', start, start + OID_HEX_LENGTH)
  return isOid(oid) ? oid : undefined
}
