import { Command } from 'commander'
import type { Config } from '../../config/schema.ts'
import { findGitDir } from '../../git/git-dir.ts'
import { addCache, type CacheEntry, removeCache } from '../../nix/nix-conf.ts'
import { PublicKey } from '../../nix/signature.ts'
import { changeNixConf, systemNixConf, userNixConf } from '../../nix-conf-file.ts'
import { findSigningKey } from '../../signing-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { UsageError } from '../failure.ts'

const HELP = `
URL is the cache to use, by default the node of the settings; --public-key is its key, by default that of this node.

Without --write and --remove it prints the lines. --write adds them to nix.conf, where they are not in force yet, and
--remove takes them out. Other lines stay as they are. The file is /etc/nix/nix.conf for root and ~/.config/nix/nix.conf
for others, unless --file names one. A Nix daemon takes caches from the latter only for users in its trusted-users.

With --json: {"url", "publicKey", "file", "changed"}.

Examples:
  gachix use                                          print the lines for nix.conf
  gachix use --write                                  make Nix on this machine ask this node
  gachix use http://cache.lan:8080 --public-key cache.lan-1:… --write
  gachix use --remove                                 undo it
`

interface UseOptions extends JsonOption {
  readonly publicKey?: string
  readonly write?: boolean
  readonly remove?: boolean
  readonly file?: string
}

/** `gachix use [URL]`. */
export function useCommand(context: CliContext): Command {
  return new Command('use')
    .description('make Nix on this machine use a cache')
    .argument('[url]', 'the cache')
    .option('--public-key <key>', 'its public key, as gachix key show prints it there')
    .option('--write', 'add the lines to nix.conf')
    .option('--remove', 'take the lines out of nix.conf')
    .option('--file <file>', 'the nix.conf to change')
    .option('--json', 'print JSON')
    .addHelpText('after', HELP)
    .action(async (url: string | undefined, options: UseOptions, command: Command) => {
      if (options.write && options.remove) throw new UsageError('--write and --remove exclude each other')
      const { config } = loadSettings(command, context)
      const cache = await cacheOf(url, options.publicKey, config)
      const isRoot = process.getuid?.() === 0
      const file = options.file ?? (isRoot ? systemNixConf(context.env) : userNixConf(context.env))
      let changed = false
      if (options.write) changed = await changeNixConf(file, (text) => addCache(text, cache))
      if (options.remove) changed = await changeNixConf(file, (text) => removeCache(text, cache))
      if (options.json) {
        await context.stdout.json({ ...cache, publicKey: cache.publicKey ?? null, file, changed })
      } else if (options.write || options.remove) {
        context.stderr.write(`${file} ${changed ? 'was changed' : 'is as it should be'}\n`)
        if (changed) context.stderr.write('where Nix runs with a daemon, restart nix-daemon\n')
      } else {
        await context.stdout.write(addCache('', cache))
      }
    })
}

async function cacheOf(
  url: string | undefined,
  publicKey: string | undefined,
  config: Config,
): Promise<CacheEntry> {
  if (publicKey !== undefined) checkKey(publicKey)
  if (url !== undefined) {
    if (!/^https?:\/\/[^\s#]+$/.test(url)) throw new UsageError(`${url} is no http:// or https:// URL`)
    return { url, publicKey }
  }
  const { host, port } = config.server
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host
  const authority = name.includes(':') ? `[${name}]` : name
  const own = findSigningKey(config, await findGitDir(config.store.path))
  if (publicKey === undefined && own === undefined) {
    throw new UsageError('this node has no key yet: the first gachix serve makes one; or give --public-key')
  }
  return { url: `http://${authority}:${port}`, publicKey: publicKey ?? own!.key.publicKey.toString() }
}

function checkKey(text: string): void {
  try {
    PublicKey.parse(text)
  } catch (error) {
    throw new UsageError(`--public-key: ${errorMessage(error)}`)
  }
}
