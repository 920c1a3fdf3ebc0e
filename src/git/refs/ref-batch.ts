import { isOid } from '../oid.ts'
import type { RefBatch } from './journal.ts'
import { isPackageHash } from './package-refs.ts'
import { InvalidRefUpdateError } from './ref-errors.ts'
import { isRefName } from './ref-name.ts'
import type { RefView } from './ref-view.ts'

/**
 * Checks that a batch can be applied: valid names and ids, no name twice, and no ref in the place of another one's
 * directory (`refs/a` beside `refs/a/b`), which Git cannot hold.
 *
 * @throws InvalidRefUpdateError
 */
export function checkBatch(batch: RefBatch, view: RefView): void {
  const deleted = new Set(batch.delete)
  if (deleted.size !== batch.delete.length)
    throw new InvalidRefUpdateError('a ref is deleted twice in one batch')
  for (const name of deleted) checkName(name)
  const names = new Set<string>()
  for (const [name, oid] of batch.set) {
    checkName(name)
    if (!isOid(oid)) throw new InvalidRefUpdateError(`${name}: not an object id: ${JSON.stringify(oid)}`)
    if (names.has(name) || deleted.has(name))
      throw new InvalidRefUpdateError(`${name} is changed twice in one batch`)
    names.add(name)
  }
  for (const name of names) checkPlace(name, names, deleted, view)
}

function checkName(name: string): void {
  if (!isRefName(name))
    throw new InvalidRefUpdateError(`not a valid ref name: ${JSON.stringify(name.slice(0, 200))}`)
}

function checkPlace(name: string, added: Set<string>, deleted: Set<string>, view: RefView): void {
  const exists = (other: string): boolean => added.has(other) || (view.has(other) && !deleted.has(other))
  for (let slash = name.lastIndexOf('/'); slash > 'refs'.length; slash = name.lastIndexOf('/', slash - 1)) {
    const parent = name.slice(0, slash)
    if (exists(parent))
      throw new InvalidRefUpdateError(`${name} cannot be made while the ref ${parent} exists`)
  }
  // Nothing lies below a package's refs; all others are few, and so is what lies below them.
  if (isPackageHash(name.split('/')[1] ?? '')) return
  for (const { name: child } of view.list(`${name}/`)) {
    if (!deleted.has(child))
      throw new InvalidRefUpdateError(`${name} cannot be made while the ref ${child} exists`)
  }
}
