import { Command } from 'commander'
import { GachixError } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { table } from '../format.ts'
import { withOperations } from '../operations.ts'

const HELP = `
A package from elsewhere is taken only when one of these keys has signed it, or when its path follows from its content.
KEY is name:base64, as in trusted-public-keys of Nix; "gachix key show" prints that of a node. Keys of the settings
(trust.public_keys) are changed there.
`

/** `gachix trust list|add|remove`. */
export function trustCommand(context: CliContext): Command {
  return new Command('trust')
    .description('see and change the keys whose signatures are believed on packages from elsewhere')
    .addHelpText('after', HELP)
    .addCommand(listCommand(context))
    .addCommand(addCommand(context))
    .addCommand(removeCommand(context))
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('print the trusted keys and where they come from')
    .option('--json', 'print JSON: [{"key", "from"}]')
    .action(async ({ json }: JsonOption, command: Command) => {
      const keys = await withOperations(loadSettings(command, context), context, (operations) =>
        operations.trustedKeys(),
      )
      if (json) await context.stdout.json(keys)
      else await context.stdout.line(table(keys.map(({ key, from }) => [key, from])))
    })
}

function addCommand(context: CliContext): Command {
  return new Command('add')
    .description('trust a key from now on')
    .argument('<key>', 'name:base64')
    .action(async (key: string, _options: unknown, command: Command) => {
      const added = await withOperations(loadSettings(command, context), context, (operations) =>
        operations.trust(key),
      )
      await context.stdout.line(added ? 'trusted' : 'trusted already')
    })
}

function removeCommand(context: CliContext): Command {
  return new Command('remove')
    .description('trust a key no more that was added')
    .argument('<key>', 'the key or its name')
    .action(async (key: string, _options: unknown, command: Command) => {
      const removed = await withOperations(loadSettings(command, context), context, (operations) =>
        operations.distrust(key),
      )
      if (!removed) {
        throw new GachixError(
          'ERR_NOT_FOUND',
          `${key} is none of the keys that were added; those of the settings are in trust.public_keys`,
        )
      }
      await context.stdout.line('not trusted any more')
    })
}
