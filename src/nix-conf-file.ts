/**
 * The `nix.conf` files of this machine: where they are, what they say of binary caches, and changing one of them.
 */
import { randomUUID } from 'node:crypto'
import { chown, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { type CacheNames, type Include, readCaches } from './nix/nix-conf.ts'
import { errorCode, errorMessage, GachixError } from './util/errors.ts'
import { readBounded } from './util/read-bounded.ts'

/** Bytes of a `nix.conf`; the longest in use list some hundred keys. */
const MAX_NIX_CONF_SIZE = 1024 * 1024
/** Files that include each other, one inside the other. */
const MAX_INCLUDES = 16

type Environment = Readonly<Record<string, string | undefined>>

/** A `nix.conf` cannot be read or changed. */
export class NixConfError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NIX_CONF', message, options)
  }
}

/** The file for all users. */
export function systemNixConf(env: Environment): string {
  return join(env.NIX_CONF_DIR || '/etc/nix', 'nix.conf')
}

/** The file of this user. */
export function userNixConf(env: Environment): string {
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'nix', 'nix.conf')
}

/**
 * The caches and keys in force for this user, by the system's file and the user's.
 *
 * @throws NixConfError when a file cannot be read
 */
export function configuredCaches(env: Environment): CacheNames {
  const none: CacheNames = { substituters: [], publicKeys: [] }
  const follow = (file: string, before: CacheNames, depth: number): CacheNames =>
    readCaches(readNixConf(file), before, ({ path }: Include, soFar) => {
      if (depth === MAX_INCLUDES) return soFar
      return follow(isAbsolute(path) ? path : resolve(dirname(file), path), soFar, depth + 1)
    })
  return follow(userNixConf(env), follow(systemNixConf(env), none, 0), 0)
}

/**
 * The text of the file, empty when there is none.
 *
 * @throws NixConfError
 */
export function readNixConf(file: string): string {
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(file, MAX_NIX_CONF_SIZE)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ''
    throw new NixConfError(`cannot read ${file}: ${errorMessage(error)}`, { cause: error })
  }
  if (bytes === undefined) throw new NixConfError(`${file} is too large for a nix.conf`)
  return Buffer.from(bytes).toString('utf8')
}

/**
 * Changes the file, or makes it: whole or not at all. Owner and mode stay, and a symbolic link stays one.
 *
 * @returns whether anything changed
 * @throws NixConfError
 */
export async function changeNixConf(file: string, change: (text: string) => string): Promise<boolean> {
  const before = readNixConf(file)
  const after = change(before)
  if (after === before) return false
  const target = await realpath(file).catch(() => file)
  if (target.startsWith('/nix/store/')) {
    throw new NixConfError(
      `${file} is made by NixOS; set services.gachix.useAsSubstituter or nix.settings in its configuration instead`,
    )
  }
  const temporary = `${target}.${randomUUID()}.tmp`
  try {
    await mkdir(dirname(target), { recursive: true })
    const old = await stat(target).catch(() => undefined)
    const handle = await open(temporary, 'wx', (old?.mode ?? 0o644) & 0o777)
    try {
      await handle.writeFile(after)
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (old !== undefined && process.getuid?.() === 0) await chown(temporary, old.uid, old.gid)
    await rename(temporary, target)
  } catch (error) {
    throw new NixConfError(
      `cannot write ${file}: ${errorMessage(error)}; --file names another one, and root may write that of the system`,
      { cause: error },
    )
  } finally {
    await rm(temporary, { force: true })
  }
  return true
}
