import { hostname } from 'node:os'
import { Command } from 'commander'
import { findGitDir } from '../../git/git-dir.ts'
import { SecretKey } from '../../nix/signature.ts'
import { findSigningKey, SigningKeyError, writeKeyFile } from '../../signing-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { UsageError } from '../failure.ts'

const GENERATE_HELP = `
The file has the format of nix-store --generate-binary-cache-key: NAME:BASE64, readable by its owner only.
The public key goes to standard output; clients take it in trusted-public-keys of nix.conf.

A node makes a key of its own on its first start. This command is for a key with another name or for several nodes:
name its file in store.sign_private_key_path.

With --json: {"name", "publicKey", "path"}.
`

/** `gachix key generate|show`. */
export function keyCommand(context: CliContext): Command {
  return new Command('key')
    .description('make and show keys that sign packages')
    .addCommand(generateCommand(context))
    .addCommand(showCommand(context))
}

interface GenerateOptions extends JsonOption {
  readonly name?: string
  readonly out?: string
  readonly force?: boolean
}

function generateCommand(context: CliContext): Command {
  return new Command('generate')
    .description('make a key pair and write the secret key to a file')
    .option('--name <name>', 'name of the key (default: the host name and "-1")')
    .option('--out <file>', 'file for the secret key (default: the name and ".secret")')
    .option('--force', 'replace the file if it exists')
    .option('--json', 'print JSON')
    .addHelpText('after', GENERATE_HELP)
    .action(async (options: GenerateOptions) => {
      const name = options.name ?? `${hostname()}-1`
      const key = generate(name)
      const path = options.out ?? `${name.replaceAll('/', '-')}.secret`
      await write(path, key, options.force ?? false)
      const publicKey = key.publicKey.toString()
      context.stderr.write(`the secret key is in ${path}; store.sign_private_key_path makes a node use it\n`)
      await (options.json ? context.stdout.json({ name, publicKey, path }) : context.stdout.line(publicKey))
    })
}

function generate(name: string): SecretKey {
  try {
    return SecretKey.generate(name)
  } catch (error) {
    throw new UsageError(errorMessage(error))
  }
}

async function write(path: string, key: SecretKey, replace: boolean): Promise<void> {
  try {
    await writeKeyFile(path, key, { replace })
  } catch (error) {
    if (!(error instanceof SigningKeyError) || replace) throw error
    throw new SigningKeyError(`${error.message}; --force would replace it`, { cause: error })
  }
}

function showCommand(context: CliContext): Command {
  return new Command('show')
    .description('print the public key of the key that signs what the node serves')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nWith --json: {"name", "publicKey", "path", "origin"}, origin being "configured" or "automatic".\n',
    )
    .action(async ({ json }: JsonOption, command: Command) => {
      const { config } = loadSettings(command, context)
      const found = findSigningKey(config, await findGitDir(config.store.path))
      if (found === undefined) {
        throw new SigningKeyError(
          'there is no key yet: the first gachix serve makes one, or gachix key generate',
        )
      }
      const { key, path, origin } = found
      const publicKey = key.publicKey.toString()
      await (json
        ? context.stdout.json({ name: key.name, publicKey, path, origin })
        : context.stdout.line(publicKey))
    })
}
