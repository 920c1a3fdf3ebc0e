import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import { type CliContext, loadSettings, override } from '../context.ts'

/** Time that running transfers have to end after the first signal, in milliseconds. */
const STOP_LIMIT = 10_000

const HELP = `
Makes the repository and a signing key when there are none, and serves until SIGINT or SIGTERM. Running transfers then
have ${STOP_LIMIT / 1000} seconds to end; a second signal ends the process at once.

Under systemd it says when it is ready and that it lives, and takes the listening sockets of a socket unit.

Clients need two lines in nix.conf, which the page at the served address shows:
  substituters = http://localhost:8080 https://cache.nixos.org
  trusted-public-keys = (what gachix key show prints) cache.nixos.org-1:…
`

interface ServeOptions {
  readonly host?: string
  readonly port?: string
}

/** `gachix serve`. */
export function serveCommand(context: CliContext): Command {
  return new Command('serve')
    .description('serve the repository to Nix clients')
    .option('--host <host>', 'address to serve on (server.host)')
    .option('-p, --port <port>', 'port to serve on, 0 for a free one (server.port)')
    .addHelpText('after', HELP)
    .action(async ({ host, port }: ServeOptions, command: Command) => {
      const { config } = loadSettings(command, context, [
        ...override('server.host', host, '--host'),
        ...override('server.port', port, '--port'),
      ])
      // What only a server needs is loaded only by it: the other commands start in half the time.
      const [{ Node }, { ServiceManager }, { createLogger }, { surviveStrayErrors }] = await Promise.all([
        import('../../node.ts'),
        import('../../service-manager.ts'),
        import('../../util/logger.ts'),
        import('../stray-errors.ts'),
      ])
      const logger = createLogger({ level: config.logLevel })
      surviveStrayErrors(logger)
      const manager = new ServiceManager({ env: context.env, logger })
      const node = new Node({ config, logger, env: context.env, httpSockets: manager.sockets })
      await node.start()
      await manager.ready(`serving at ${node.url}`)
      if (!context.signal.aborted) await once(context.signal, 'abort')
      logger.info('stopping')
      const told = manager.stopping()
      const stopped = Promise.all([node.stop(), told]).then(() => true)
      if (!(await Promise.race([stopped, delay(STOP_LIMIT, false)]))) {
        logger.warn(`transfers were still running after ${STOP_LIMIT / 1000} seconds and were cut`)
      }
    })
}
