import { Command } from 'commander'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { count, formatBytes, formatDuration } from '../format.ts'
import { withOperations } from '../operations.ts'
import { addProgress } from '../progress.ts'
import { storePathOf } from '../store-paths.ts'

const HELP = `
PATH is a store path, or a path in or to one (such as ./result).

The packages come from the Nix daemon of this machine, and what it does not have from the other sources: peers,
remotes, builders, upstream caches, in this order. --from names one of them ("local" is the daemon; a URL is a
binary cache). What is already in the repository is not read again; what does not match its hash is refused. An interrupted add leaves whole packages only, and the next one goes on.

With --json: {"paths", "added", "present", "bytes" (NAR bytes added), "stored" (bytes on disk), "seconds"}.

Examples:
  gachix add /nix/store/…-hello-2.12
  gachix add $(nix-build -A hello) --json
  gachix add --single /nix/store/…-source
  gachix add /nix/store/…-hello-2.12 --from https://cache.nixos.org
`

/** `gachix add PATH…`. */
export function addCommand(context: CliContext): Command {
  return new Command('add')
    .description('add packages, with everything that they need, from the Nix daemon or another source')
    .argument('<path...>', 'store paths')
    .option('-s, --single', 'add only the named packages, not what they refer to')
    .option(
      '-f, --from <source>',
      'learn from this source only: a name, "local", or the URL of a binary cache',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(
      async (
        paths: string[],
        options: JsonOption & { single?: boolean; from?: string },
        command: Command,
      ) => {
        const loaded = loadSettings(command, context)
        const targets = await Promise.all(
          paths.map((path) => storePathOf(path, loaded.config.store.storeDir)),
        )
        const daemonSocket = context.env.NIX_DAEMON_SOCKET_PATH
        const progress = addProgress(context.stderr)
        const summary = await withOperations(loaded, context, async (operations) => {
          try {
            return await operations.add(
              {
                paths: targets,
                single: options.single ?? false,
                ...(options.from !== undefined && { from: options.from }),
                ...(daemonSocket && { daemonSocket }),
              },
              { signal: context.signal, onEvent: (event) => progress.event(event) },
            )
          } finally {
            progress.end()
          }
        })
        if (options.json) {
          await context.stdout.json(summary)
          return
        }
        const { added, present, bytes, stored, seconds } = summary
        const sizes = `${formatBytes(bytes)}, ${formatBytes(stored)} on disk`
        const rest = present > 0 ? `; ${present} already there` : ''
        await context.stdout.line(
          `added ${count(added, 'package')} (${sizes}) in ${formatDuration(seconds)}${rest}`,
        )
      },
    )
}
