/**
 * The kinds of value that settings take, as schemas with the words that an error message uses for them.
 */
import { isIP } from 'node:net'
import * as z from 'zod'
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
  /** What is expected of the fields of items that are mappings. */
  readonly expectedField?: Readonly<Record<string, string>>
  /** The value as the file would have it, where that is not the value itself. */
  show?(value: T): unknown
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
