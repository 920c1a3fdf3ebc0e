/** What every test of real clients checks: they fetch packages into an empty store, and all comes back as it was. */
import assert from 'node:assert/strict'
import type { PathFacts } from './nix.ts'
import { type CacheSettings, NixClient, narHashes } from './nix-client.ts'

/** The two ways in which Nix users fetch from a binary cache. */
export type Fetch = 'nix copy' | 'nix-store -r'

export interface SubstitutionOptions {
  readonly cache: CacheSettings
  /** Paths to ask for. */
  readonly roots: readonly string[]
  /** What the real Nix says of the whole closure of `roots`. */
  readonly closure: readonly PathFacts[]
  readonly with: Fetch
  /** System of another Debian whose Nix is the client. */
  readonly chroot?: string
}

/**
 * Fetches `roots` into an empty store with signatures required, has the client verify it, and compares every path of
 * the closure: hash, references and content address as the client knows them, and the NAR of what lies on the disk.
 */
export async function checkSubstitution(options: SubstitutionOptions): Promise<void> {
  const { cache, roots, closure, chroot } = options
  await using client = await NixClient.create(chroot === undefined ? {} : { chroot })
  if (options.with === 'nix copy') await client.copy(cache, roots)
  else await client.realise(cache, roots)
  await client.verify(cache.publicKeys)

  const paths = closure.map(({ path }) => path)
  const there = await client.facts(paths)
  const onDisk = await narHashes(paths.map((path) => client.real(path)))
  for (const [index, expected] of closure.entries()) {
    const { path, narHash, narSize, references, ca } = there[index]!
    const wanted = [expected.narHash, expected.narSize, expected.references, expected.ca]
    assert.deepEqual([narHash, narSize, references, ca], wanted, `what the client knows of ${path}`)
    assert.equal(onDisk[index], expected.narHash, `${path} on the client's disk`)
  }
}
