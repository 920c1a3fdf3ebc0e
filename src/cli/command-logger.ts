import type { LoadedConfig } from '../config/parse.ts'
import type { Logger } from '../util/log.ts'
import { createLogger } from '../util/logger.ts'

/**
 * The logger of a command that is not a server: what went wrong shows in any case, what went well only when asked for.
 */
export function commandLogger({ config, origins }: LoadedConfig): Logger {
  const chosen = origins.get('log_level')?.from !== 'default'
  return createLogger({ level: chosen ? config.logLevel : 'warn' })
}
