import { encodeCommit } from '../git/commit.ts'
import type { Oid } from '../git/oid.ts'
import type { StorePath } from '../nix/store-path.ts'

/** Author and committer of every package commit. Fixed, so that a package has one commit id wherever it is made. */
const IDENTITY = 'gachix <gachix@gachix.com> 0 +0000'

/**
 * The commit of a package (`protocol/SPEC.md`): the parents are the commits of its references without itself, in the
 * order of the references; the message is the store path's name, without hash and without line feed.
 */
export function packageCommit(path: StorePath, tree: Oid, parents: readonly Oid[]): Buffer {
  return encodeCommit({
    tree,
    parents: [...parents],
    author: IDENTITY,
    committer: IDENTITY,
    message: path.name,
  })
}
