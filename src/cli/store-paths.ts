/**
 * What people type for a package, made into what the node understands. Done here and not in the node, because links and
 * relative paths are those of the caller's directory.
 */
import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { HASH_PART_LENGTH, isHashPart, StorePath } from '../nix/store-path.ts'
import { errorCode, errorMessage } from '../util/errors.ts'
import { UsageError } from './failure.ts'

/**
 * The store path that a path is, lies in or leads to (`./result`), in full. A path that is spelled as one in the store
 * is taken by its text: with another store directory it need not exist on this machine.
 *
 * @throws UsageError when it is none
 */
export async function storePathOf(text: string, storeDir: string): Promise<string> {
  const absolute = resolve(text)
  const target = isInside(absolute, storeDir) ? absolute : await followLinks(text, storeDir)
  return checked(() => StorePath.containing(target, storeDir)).toString()
}

/**
 * Like `storePathOf`, but a base name or a hash part will do.
 *
 * @throws UsageError
 */
export async function packageTarget(text: string, storeDir: string): Promise<string> {
  if (isHashPart(text)) return text
  if (isHashPart(text.slice(0, HASH_PART_LENGTH)) && !text.includes('/')) {
    return checked(() => StorePath.fromBaseName(text, storeDir)).toString()
  }
  return await storePathOf(text, storeDir)
}

function checked(parse: () => StorePath): StorePath {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(errorMessage(error))
  }
}

async function followLinks(text: string, storeDir: string): Promise<string> {
  let target: string
  try {
    target = await realpath(text)
  } catch (error) {
    throw new UsageError(
      errorCode(error) === 'ENOENT'
        ? `there is no ${text}, and it is not a path in ${storeDir}`
        : errorMessage(error),
    )
  }
  if (!isInside(target, storeDir)) throw new UsageError(`${text} is not in the store directory ${storeDir}`)
  return target
}

function isInside(path: string, storeDir: string): boolean {
  return path.startsWith(`${storeDir}/`)
}
