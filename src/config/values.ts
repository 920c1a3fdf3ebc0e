/**
 * The kinds of value that settings take, as schemas with the words that an error message uses for them.
 */
import { isIP } from 'node:net'
import { z } from 'zod'
import { checkStoreDir } from '../nix/store-path.ts'

/** What a value looks like when it is written as text, in an environment variable or a flag. */
export type Shape = 'text' | 'number' | 'boolean' | 'list'

/** A kind of value: how it is written, how it is checked, and how to say what is expected. */
export interface Kind<T> {
  readonly shape: Shape
  readonly schema: z.ZodType<T>
  readonly expected: string
  /** What is expected of each item of a list. */
  readonly expectedItem?: string
}

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]/

export const boolean: Kind<boolean> = { shape: 'boolean', schema: z.boolean(), expected: 'true or false' }

/** A whole number from `min` to `max`, both included. */
export function integer(min: number, max: number): Kind<number> {
  return {
    shape: 'number',
    schema: z.int().min(min).max(max),
    expected: `a whole number from ${min} to ${max}`,
  }
}

/** One of the given words. */
export function choice<const W extends string>(words: readonly W[]): Kind<W> {
  return { shape: 'text', schema: z.enum(words), expected: `one of ${words.join(', ')}` }
}

/** A file name, kept as written; it is resolved against the working directory where it is used. */
export const path: Kind<string> = {
  shape: 'text',
  schema: z.string().min(1).refine(isPlain),
  expected: 'a path',
}

/** A path that may be left unset; an empty variable or `null` unsets it. */
export const optionalPath: Kind<string | undefined> = {
  shape: 'text',
  schema: z.preprocess((value) => (value === '' ? undefined : value), path.schema.optional()),
  expected: 'a path, or nothing',
}

/** Nix compares store directories by their text, so only the shortest form will do. */
export const storeDirectory: Kind<string> = {
  shape: 'text',
  schema: z.string().refine(isStoreDir),
  expected: 'an absolute directory without a slash at the end',
}

export const host: Kind<string> = {
  shape: 'text',
  schema: z.string().refine((text) => isIP(text) !== 0 || HOST_NAME.test(text)),
  expected: 'a host name or an IP address without port or brackets',
}

/** URLs of machines with Nix on them. A host that begins with `-` would be read as an option by ssh. */
export const builders: Kind<readonly string[]> = {
  shape: 'list',
  schema: z.array(z.string().refine(isBuilderUrl)),
  expected: 'a list of ssh-ng:// or ssh:// URLs',
  expectedItem: 'ssh-ng://[user@]host[:port] or ssh://[user@]host[:port]',
}

/** Places of Git repositories in every form that Git takes. */
export const remotes: Kind<readonly string[]> = {
  shape: 'list',
  schema: z.array(z.string().refine(isRemote)),
  expected: 'a list of Git repositories',
  expectedItem: 'a Git repository (an ssh, https, http or file URL, user@host:path, or a path)',
}

function isPlain(text: string): boolean {
  return !CONTROL_CHARACTERS.test(text)
}

function isStoreDir(text: string): boolean {
  try {
    checkStoreDir(text)
    return true
  } catch {
    return false
  }
}

function isBuilderUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || !['ssh:', 'ssh-ng:'].includes(url.protocol)) return false
  return url.hostname !== '' && !url.hostname.startsWith('-') && url.password === '' && isPlain(text)
}

function isRemote(text: string): boolean {
  return text.trim() !== '' && !text.startsWith('-') && isPlain(text)
}
