import { Command } from 'commander'
import type { PackageDetails } from '../../http/control/api.ts'
import { GachixError } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { columns, count, formatBytes } from '../format.ts'
import { withReader } from '../operations.ts'
import { packageTarget } from '../store-paths.ts'

const HELP = `
PATH is a store path or a path in or to one (such as ./result), a base name (HASH-NAME) or a hash part.
`

/** `gachix info PATH`. */
export function infoCommand(context: CliContext): Command {
  return new Command('info')
    .description('say what the repository knows of a package')
    .argument('<path>', 'store path, base name or hash part')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (path: string, { json }: JsonOption, command: Command) => {
      const loaded = loadSettings(command, context)
      const target = await packageTarget(path, loaded.config.store.storeDir)
      await withReader(loaded, context, async (reader) => {
        const details = await reader.info(target, { signal: context.signal })
        if (details === undefined) {
          throw new GachixError(
            'ERR_NOT_FOUND',
            `${target} is not in the repository; gachix add would add it`,
          )
        }
        await (json ? context.stdout.json(details) : context.stdout.line(describe(details)))
      })
    })
}

function describe(details: PackageDetails): string {
  const { gzip, closure } = details
  const size = `${details.narSize} (${formatBytes(details.narSize)})`
  return columns([
    ['path', details.path],
    ['nar hash', details.narHash],
    ['nar size', size],
    ['references', details.references.length === 0 ? 'none' : details.references],
    ...row('deriver', details.deriver),
    ...row('content address', details.ca),
    ['signatures', details.signatures.length === 0 ? 'none of others' : details.signatures],
    ['tree', details.tree],
    ['commit', details.commit ?? 'none: added alone, references are missing'],
    ['plain', details.url],
    ['gzip', gzip === null ? 'not worked out yet' : `${gzip.url} (${formatBytes(gzip.size)})`],
    [
      'closure',
      `${count(closure.paths, 'package')}, ${formatBytes(closure.narSize)}${closure.complete ? '' : ', incomplete'}`,
    ],
  ])
}

function row(name: string, value: string | null): [string, string][] {
  return value === null ? [] : [[name, value]]
}
