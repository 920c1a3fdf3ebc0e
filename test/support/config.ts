/** Settings as a test wants them. */
import { parseConfig } from '../../src/config/parse.ts'
import type { Config } from '../../src/config/schema.ts'

/** The defaults, and what the given settings file says. */
export function createConfig(yaml = ''): Config {
  return parseConfig(yaml, 'test.yaml').config
}
