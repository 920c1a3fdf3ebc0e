import { Command } from 'commander'
import { GachixError } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { table } from '../format.ts'
import { withRunningNode } from '../operations.ts'
import { packageTarget } from '../store-paths.ts'

const HELP = `
Answers from what the peers have announced; asks the connected ones when none is known to have the package. Exits with 1
when it is nowhere.
`

/** `gachix who-has PATH`. */
export function whoHasCommand(context: CliContext): Command {
  return new Command('who-has')
    .description('say which peers have a package')
    .argument('<path>', 'store path, base name or hash part')
    .option('--json', 'print JSON: {"hash", "here", "peers": [{"id", "name", "connected"}]}')
    .addHelpText('after', HELP)
    .action(async (text: string, { json }: JsonOption, command: Command) => {
      const loaded = loadSettings(command, context)
      const target = await packageTarget(text, loaded.config.store.storeDir)
      const answer = await withRunningNode(loaded, (operations) =>
        operations.whoHas(target, { signal: context.signal }),
      )
      if (json) await context.stdout.json(answer)
      if (!answer.here && answer.peers.length === 0) {
        throw new GachixError('ERR_NOT_FOUND', `${text} is not here, and no peer is known to have it`)
      }
      if (json) return
      const rows = answer.peers.map(({ name, id, connected }) => [
        name,
        ...(name === id ? [] : [id]),
        connected ? 'connected' : 'not connected',
      ])
      await context.stdout.line(table([...(answer.here ? [['this node']] : []), ...rows]))
    })
}
