/** The files beside a pack, and removing them all. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory } from '../durable-file.ts'
import type { Pack } from './pack.ts'

/**
 * Files beside a pack that say that it is to stay: somebody keeps it (git itself while a fetch is under way), its objects
 * may refer to some that are elsewhere, or nothing refers to its objects and they await their end.
 */
const STAYS = ['.keep', '.promisor', '.mtimes']
/** In this order: without its `.idx` a pack is no pack for git any more. */
const FILES = ['.idx', '.pack', '.rev', '.bitmap']
const MULTI_PACK_INDEX = /^multi-pack-index/

/** Of the given packs in `packDir` those that may be removed once their objects are in another one. */
export async function removablePacks(packDir: string, packs: readonly Pack[]): Promise<Pack[]> {
  const names = new Set((await readdir(packDir)).map((name) => join(packDir, name)))
  return packs.filter((pack) => STAYS.every((suffix) => !names.has(withSuffix(pack, suffix))))
}

/**
 * Removes packs of `packDir` with all that belongs to them. Git's multi-pack indexes go first: they are made from packs
 * and would name some that are gone.
 */
export async function removePackFiles(packDir: string, packs: readonly Pack[]): Promise<void> {
  for (const name of await readdir(packDir)) {
    if (MULTI_PACK_INDEX.test(name)) await rm(join(packDir, name), { recursive: true, force: true })
  }
  for (const pack of packs) {
    for (const suffix of FILES) await rm(withSuffix(pack, suffix), { force: true })
  }
  await syncDirectory(packDir)
}

function withSuffix(pack: Pack, suffix: string): string {
  return pack.path.replace(/\.pack$/, suffix)
}
