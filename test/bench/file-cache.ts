/** Binary caches in folders, made by the real `nix copy`: what nginx serves, and what `gachix add` is measured beside. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/process.ts'
import type { PackageSet } from './package-set.ts'

/** Milliseconds; xz takes about 1 s for 3 MB on a core. */
const PATIENCE = 3 * 3600_000

export type FileCompression = 'none' | 'zstd' | 'xz'

/** An empty folder for a cache. */
export function newFolder(kind: string): Promise<string> {
  return mkdtemp(join(tmpdir(), `cache-${kind}-`))
}

/** Writes the set into a file cache, signed by a secret key. Nix reads the store itself, without its daemon. */
export async function copyToFileCache(
  set: Pick<PackageSet, 'store' | 'roots'>,
  folder: string,
  compression: FileCompression,
  secretKeyFile: string,
): Promise<void> {
  const url = `file://${folder}?compression=${compression}&secret-key=${secretKeyFile}`
  const options = { env: set.store.env, timeout: PATIENCE }
  await run('nix', ['copy', '--from', set.store.root, '--to', url, ...set.roots], options)
}
