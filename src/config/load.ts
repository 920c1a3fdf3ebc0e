import { errorMessage } from '../util/errors.ts'
import { readBounded } from '../util/read-bounded.ts'
import { ConfigError } from './errors.ts'
import { type Environment, type LoadedConfig, type Override, parseConfig } from './parse.ts'
import { MAX_FILE_SIZE, TOO_LARGE } from './yaml.ts'

export interface LoadOptions {
  /**
   * Settings file; it must exist. Without one there are defaults, environment and flags only: no file is looked for in
   * the working directory, because a key path or a store that came from wherever the user happens to stand is a
   * surprise that signs and publishes things.
   */
  file?: string
  /** Environment to read `GACHIX__…` variables from; default: none. */
  env?: Environment
  overrides?: readonly Override[]
}

/**
 * Loads the settings: defaults, then the file, then the environment, then flags. Relative paths in any of them stay as
 * they are and so mean the working directory of the process, as in the original gachix.
 *
 * @throws ConfigError with every problem of every source
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const { file, env, overrides } = options
  const text = file === undefined ? undefined : readSettingsFile(file)
  return parseConfig(text, file ?? '', env, overrides)
}

function readSettingsFile(file: string): string {
  const fail = (message: string, cause?: unknown) => new ConfigError([{ where: file, message }], { cause })
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(file, MAX_FILE_SIZE)
  } catch (error) {
    throw fail(`cannot be read: ${errorMessage(error)}`, error)
  }
  if (bytes === undefined) throw fail(TOO_LARGE)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw fail('not UTF-8 text', error)
  }
}
