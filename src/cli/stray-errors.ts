import { isOfEndedConnection } from '../peers/swarm/stray-errors.ts'
import { errorMessage } from '../util/errors.ts'
import type { Logger } from '../util/log.ts'

/**
 * Lets a node outlive what its libraries leave behind when a peer vanishes: promises that fail without anybody waiting for them, and
 * exceptions of connections that have ended. Whoever is served must not pay for that. Any other exception still ends the process (exit
 * status 1), as nothing is known of the state it left.
 */
export function surviveStrayErrors(logger: Logger): void {
  process.on('unhandledRejection', (err) => {
    logger.error({ err }, `something failed that nobody waited for; going on: ${errorMessage(err)}`)
  })
  process.on('uncaughtException', (err) => {
    if (isOfEndedConnection(err)) {
      logger.error({ err }, `a connection failed that nobody looked after; going on: ${errorMessage(err)}`)
      return
    }
    logger.error({ err }, `unexpected failure, ending: ${errorMessage(err)}`)
    process.exit(1)
  })
}
