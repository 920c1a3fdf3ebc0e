import { Command, Option } from 'commander'
import { LOG_LEVELS } from '../util/log.ts'
import { VERSION } from '../util/version.ts'
import { addCommand } from './commands/add.ts'
import { completionCommand } from './commands/completion.ts'
import { configCommand } from './commands/config.ts'
import { doctorCommand } from './commands/doctor.ts'
import { infoCommand } from './commands/info.ts'
import { keyCommand } from './commands/key.ts'
import { listCommand } from './commands/list.ts'
import { manualCommand } from './commands/manual.ts'
import { peerCommand } from './commands/peer.ts'
import { remoteCommand } from './commands/remote.ts'
import { serveCommand } from './commands/serve.ts'
import { statusCommand } from './commands/status.ts'
import { syncCommand } from './commands/sync.ts'
import { trustCommand } from './commands/trust.ts'
import { useCommand } from './commands/use.ts'
import { whoHasCommand } from './commands/who-has.ts'
import type { CliContext } from './context.ts'

const HELP = `
Examples:
  gachix serve                                  serve ./cache on http://localhost:8080
  gachix add /nix/store/…-hello-2.12            add a package and all that it needs
  gachix add ./result --store-path /srv/cache   add what nix-build made to another repository
  gachix sync --from build-server               pull everything that a remote has
  gachix list | wc -l                           count the packages
  gachix use --write                            make Nix on this machine ask this node

Environment:
  GACHIX__SECTION__KEY     overrides a key of the settings file, for instance GACHIX__SERVER__PORT=9000;
                           lists are separated by commas. gachix config show lists all keys.
  NIX_DAEMON_SOCKET_PATH   socket of the Nix daemon to learn packages from

Settings come from defaults, the file of --config, the environment and options; later ones win. No file is
read unless --config names one. Relative paths mean the working directory.

add, sync, remote, list and info work on the running node when one has the repository open, and on the repository itself
otherwise. Results go to standard output, everything else to standard error.

Exit codes:
  0        success
  1        failure; the last line of standard error says why and ends in a code such as [ERR_NOT_FOUND]
  2        wrong usage or wrong settings
  128 + n  interrupted by signal n

With --json, a failure is also printed on standard output as {"error": {"code": …, "message": …}}, unless part
of the result is already there.
`

/** The whole command tree of `gachix`, ready to parse. */
export function createProgram(context: CliContext): Command {
  const program = new Command('gachix')
    .description('A decentralized binary cache for Nix that keeps packages in a Git repository.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'print help for a command')
    .option('-c, --config <file>', 'settings file (YAML)')
    .addOption(new Option('--log-level <level>', 'how much is logged (log_level)').choices(LOG_LEVELS))
    .option('--store-path <dir>', 'the repository (store.path)')
    .addHelpText('after', HELP)

  program
    .addCommand(serveCommand(context))
    .addCommand(addCommand(context))
    .addCommand(syncCommand(context))
    .addCommand(listCommand(context))
    .addCommand(infoCommand(context))
    .addCommand(statusCommand(context))
    .addCommand(peerCommand(context))
    .addCommand(whoHasCommand(context))
    .addCommand(trustCommand(context))
    .addCommand(remoteCommand(context))
    .addCommand(keyCommand(context))
    .addCommand(useCommand(context))
    .addCommand(configCommand(context))
    .addCommand(doctorCommand(context))
    .addCommand(completionCommand(context, program))
    .addCommand(manualCommand(context, program))

  prepare(program, context)
  return program
}

/** Errors are thrown instead of ending the process, and `run` prints them; settings are not inherited by `addCommand`. */
function prepare(command: Command, context: CliContext): void {
  command
    .exitOverride()
    .helpOption('-h, --help', 'print help')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      // The message comes with the exception.
      outputError: () => {},
    })
    .showSuggestionAfterError()
  for (const child of command.commands) prepare(child, context)
}
