import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'

/** A random object id. */
export const oids = fc.stringMatching(/^[0-9a-f]{40}$/)

/** Package hashes that often share a beginning. */
export const hashes = fc
  .stringMatching(/^[0189abvz]{2}$/)
  .map((text) => text.padEnd(32, '0123456789abcdfghijklmnpqrsvwxyz'))

/** Ref names of all kinds; few enough that they meet again, and none is another's directory. */
export const refNames = fc.oneof(
  fc
    .tuple(hashes, fc.constantFrom('narinfo', 'result', 'tree'))
    .map(([hash, kind]) => `refs/${hash}/${kind}`),
  fc.constantFrom(
    'refs/heads/main',
    'refs/tags/v1',
    'refs/heads/grün',
    'refs/heads/😀',
    'refs/heads/\uffdf',
    'refs/x',
  ),
)

/** An empty directory that is gone at the end of the test. */
export async function temporaryDirectory(t: { after(fn: () => Promise<void>): void }): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'gachix-refs-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A copy of a directory as it is now: what a crash would leave of it. */
export async function copyOf(path: string, to: string): Promise<string> {
  await rm(to, { recursive: true, force: true })
  await cp(path, to, { recursive: true })
  return to
}

/** An object id of one digit. */
export function oid(digit: number | string): string {
  return String(digit).repeat(40)
}
