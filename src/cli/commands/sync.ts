import { Command } from 'commander'
import type { Operations } from '../../http/control/api.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { UsageError } from '../failure.ts'
import { count, formatBytes, formatDuration } from '../format.ts'
import { withOperations } from '../operations.ts'
import { addProgress } from '../progress.ts'
import { packageTarget } from '../store-paths.ts'

const HELP = `
PATH is a store path, a path in or to one, its base name or its hash part. Each comes with everything that it
refers to, verified before it is published; what is here already is not transferred again.

Without PATH everything is pulled that the remotes and peers have, or what mesh.sync names by patterns. Packages
that no trusted key has signed are left out and named. A source that is lost on the way is waited for, up to 20
seconds, when no other one has what is missing; run again, the command goes on where it was. With --push the
direction is the other: closures are sent to a Git repository (a remote of the settings, or any URL or path that Git
knows), which needs no gachix and can be pulled from again.

With --json: {"added", "bytes" (NAR bytes), "present", "received" (bytes over the wire), "skipped", "sources"
(packages by source), "seconds"}; with --push {"added", "bytes", "present", "differing", "sent", "seconds"}.

Examples:
  gachix sync /nix/store/…-hello-2.12
  gachix sync --from build-server
  gachix sync --push git@forge.example.org:team/cache.git
`

interface SyncCommandOptions extends JsonOption {
  readonly from?: string
  readonly push?: string
}

/** `gachix sync [PATH…]`. */
export function syncCommand(context: CliContext): Command {
  return new Command('sync')
    .description('pull closures from remotes and peers, or push them to a Git repository')
    .argument('[path...]', 'store paths')
    .option('-f, --from <source>', 'pull from this source only')
    .option('--push <remote>', 'push to this remote instead')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (paths: string[], options: SyncCommandOptions, command: Command) => {
      const { from, push, json } = options
      if (from !== undefined && push !== undefined)
        throw new UsageError('--from and --push exclude each other')
      const loaded = loadSettings(command, context)
      const { storeDir } = loaded.config.store
      const targets = await Promise.all(paths.map((path) => packageTarget(path, storeDir)))
      const progress = addProgress(context.stderr)
      await withOperations(loaded, context, async (operations) => {
        const watch = { signal: context.signal, onEvent: progress.event }
        try {
          const lines =
            push === undefined
              ? await pull(operations, { paths: targets, ...(from !== undefined && { from }) }, watch)
              : await send(operations, { remote: push, paths: targets }, watch)
          progress.end()
          if (json) await context.stdout.json(lines.summary)
          else await context.stdout.line(lines.text)
        } finally {
          progress.end()
        }
      })
    })
}

type Told = { readonly summary: object; readonly text: string }

async function pull(
  operations: Operations,
  ...[request, watch]: Parameters<Operations['sync']>
): Promise<Told> {
  const summary = await operations.sync(request, watch)
  const { added, bytes, received, present, skipped, sources, seconds } = summary
  const from = Object.keys(sources)
  const sizes = `${formatBytes(bytes)}, ${formatBytes(received)} over the wire`
  const notes = [
    from.length > 0 ? ` from ${from.join(', ')}` : '',
    present > 0 ? `; ${present} already there` : '',
    skipped > 0 ? `; ${count(skipped, 'package')} refused` : '',
  ]
  return {
    summary,
    text: `pulled ${count(added, 'package')} (${sizes}) in ${formatDuration(seconds)}${notes.join('')}`,
  }
}

async function send(
  operations: Operations,
  ...[request, watch]: Parameters<Operations['push']>
): Promise<Told> {
  const summary = await operations.push(request, watch)
  const { added, bytes, sent, present, differing, seconds } = summary
  const notes = [
    present > 0 ? `; ${present} already there` : '',
    differing > 0 ? `; ${count(differing, 'ref')} with another value there left alone` : '',
  ]
  const sizes = `${formatBytes(bytes)}, ${formatBytes(sent)} over the wire`
  return {
    summary,
    text: `pushed ${count(added, 'package')} (${sizes}) in ${formatDuration(seconds)}${notes.join('')}`,
  }
}
