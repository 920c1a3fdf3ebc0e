import { readFileSync } from 'node:fs'

/** The golden cases of `protocol/vectors/nix/<name>.json`, in the shape that the caller says they have. */
export function nixVectors<T>(name: string): T {
  const url = new URL(`../../protocol/vectors/nix/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as T
}
