import { Command } from 'commander'
import type { NodeStatus } from '../../http/control/api.ts'
import type { SourceStatus } from '../../http/control/sync-api.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { columns, count, formatBytes, formatDuration } from '../format.ts'
import { withRunningNode } from '../operations.ts'

/** `gachix status`. */
export function statusCommand(context: CliContext): Command {
  return new Command('status')
    .description('say how the running node is doing')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nFails with ERR_NODE_NOT_RUNNING when no node has the repository open.\n')
    .action(async ({ json }: JsonOption, command: Command) => {
      const status = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.status(),
      )
      if (json) {
        await context.stdout.json(status)
        return
      }
      await context.stdout.line(
        columns([
          ['version', status.version],
          ['process', `${status.pid}, running for ${formatDuration(status.uptime)}`],
          ['memory', formatBytes(status.process.rss)],
          ['serving', status.http?.url ?? 'nothing'],
          ['repository', status.store.path],
          ['store dir', status.store.storeDir],
          ['packages', String(status.store.packages)],
          ['public key', status.publicKey ?? 'none'],
          ['mesh', status.mesh === null ? 'none' : describeMesh(status.mesh)],
          ['sources', status.sources.length === 0 ? 'none' : status.sources.map(describeSource)],
        ]),
      )
    })
}

function describeMesh({ id, network, connected, addresses }: NonNullable<NodeStatus['mesh']>): string[] {
  return [`${network}, ${count(connected, 'peer')} connected`, id, ...addresses]
}

function describeSource(source: SourceStatus): string {
  const { name, kind, state, packages, failures, lastError, requireSignatures } = source
  const notes = [
    `${name} (${kind}): ${state}`,
    count(packages, 'package'),
    ...(failures > 0 ? [count(failures, 'failure')] : []),
    ...(requireSignatures ? [] : ['BELIEVED WITHOUT SIGNATURES']),
    ...(state === 'failing' && lastError !== null ? [lastError.message] : []),
  ]
  return notes.join(', ')
}
