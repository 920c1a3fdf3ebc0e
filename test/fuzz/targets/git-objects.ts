/** Trees and commits: what is accepted encodes back to its own bytes. */
import assert from 'node:assert/strict'
import { encodeCommit, parseCommit } from '../../../src/git/commit.ts'
import { encodeTree, parseTree } from '../../../src/git/tree.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

const OID = '0123456789abcdef0123456789abcdef01234567'
const WHO = 'gachix <gachix@gachix.com> 0 +0000'

export const target: FuzzTarget = {
  name: 'git-objects',
  tokens: [
    ...[
      '100644 ',
      '100755 ',
      '120000 ',
      '40000 ',
      '160000 ',
      '100664 ',
      '\0',
      '.',
      '..',
      '/',
      'a.b',
      Buffer.from(OID, 'hex'),
    ],
    ...['tree ', 'parent ', 'author ', 'committer ', 'gpgsig ', '\n', '\n\n', OID, WHO],
  ],

  seeds: () => [
    encodeTree([
      { mode: '100644', name: Buffer.from('a'), oid: OID },
      { mode: '40000', name: Buffer.from('a.d'), oid: OID },
      { mode: '100755', name: Buffer.from('b'), oid: OID },
      { mode: '120000', name: Buffer.from('link'), oid: OID },
      { mode: '40000', name: Buffer.from([0xff, 0x80]), oid: OID },
    ]),
    Buffer.from(`tree ${OID}\nparent ${OID}\nparent ${OID}\nauthor ${WHO}\ncommitter ${WHO}\n\nhello-1.0`),
    Buffer.from(`tree ${OID}\nauthor ${WHO}\ncommitter ${WHO}\nencoding latin1\ngpgsig x\n y\n\nsigned\n`),
  ],

  run(data) {
    const tree = attempt(() => {
      const entries = parseTree(data)
      if (!data.includes('100664 ')) assert.ok(encodeTree(entries).equals(data))
    })
    const commit = attempt(() => {
      const parsed = parseCommit(data)
      const again = parseCommit(encodeCommit(parsed))
      assert.equal(again.tree, parsed.tree)
      assert.deepEqual(again.parents, parsed.parents)
      assert.deepEqual(again.message, parsed.message)
    })
    if (tree !== undefined && commit !== undefined) throw data[0] === 0x74 ? commit : tree
  },
}

function attempt(action: () => void): GachixError | undefined {
  try {
    action()
    return undefined
  } catch (error) {
    if (error instanceof GachixError) return error
    throw error
  }
}
