import { link } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, syncDirectory } from '../durable-file.ts'
import type { Pack } from './pack.ts'

/** Where packs of a repository lie. */
export interface PackFolders {
  readonly packDir: string
  /** Where splice sidecars lie. */
  readonly spliceDir: string
}

/**
 * Makes a complete pack one of another repository on the same file system, by hard links: nothing is copied. As when a pack is written, the
 * `.idx`, which makes it visible, comes last. It stays where it was, too.
 *
 * @returns the pack's path in the other repository
 */
export async function adoptPack(pack: Pack, from: PackFolders, to: PackFolders): Promise<string> {
  const sidecar = `${pack.id}.splice`
  await linkOnce(join(from.spliceDir, sidecar), join(to.spliceDir, sidecar))
  const path = join(to.packDir, `pack-${pack.id}.pack`)
  await linkOnce(pack.path, path)
  await linkOnce(pack.path.replace(/\.pack$/, '.idx'), path.replace(/\.pack$/, '.idx'))
  await syncDirectory(to.packDir)
  return path
}

/** A file of that name was made of the same objects. */
async function linkOnce(existing: string, path: string): Promise<void> {
  try {
    await link(existing, path)
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error
  }
}
