import { readdirSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { FuzzTarget } from './target.ts'

const FOLDER = new URL('./targets/', import.meta.url)

/** Names of all targets: the files in `targets/`. */
export function targetNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -'.ts'.length))
    .sort()
}

/**
 * @param file module of a target that is not in `targets/`
 * @throws RangeError when there is no target of this name
 */
export async function loadTarget(name: string, file?: string): Promise<FuzzTarget> {
  if (file === undefined && !targetNames().includes(name)) {
    throw new RangeError(`no fuzz target ${name}; there are ${targetNames().join(', ')}`)
  }
  const url = file === undefined ? new URL(`${name}.ts`, FOLDER) : pathToFileURL(file)
  const { target } = (await import(url.href)) as { target: FuzzTarget }
  if (target.name !== name) throw new RangeError(`the target in ${url.pathname} calls itself ${target.name}`)
  return target
}
