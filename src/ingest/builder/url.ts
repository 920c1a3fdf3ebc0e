import { isSshHost, isSshUser, type SshTarget } from '../../git/transport/ssh.ts'
import { GachixError } from '../../util/errors.ts'

/** A text is not the URL of a machine with Nix. */
export class BuilderUrlError extends GachixError {
  constructor(reason: string) {
    super(
      'ERR_BUILDER_URL',
      `not the URL of a machine with Nix: ${reason}; it is ssh-ng://[user@]host[:port]`,
    )
  }
}

/** How the Nix daemon of a machine is reached. */
export interface BuilderAddress {
  readonly target: SshTarget
  /** Command line for the shell there, which speaks the worker protocol on its standard input and output. */
  readonly command: string
  /** File with the secret key for this machine (`ssh-key`). */
  readonly identityFile?: string
}

/** User that the original gachix and NixOS's `nix.sshServe` name. */
const DEFAULT_USER = 'nix-ssh'

/** Parameters of Nix's `ssh-ng://` store that mean something to who only reads. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  'ssh-ng:': ['remote-program', 'remote-store', 'ssh-key'],
  'ssh:': ['ssh-key'],
}

/**
 * Takes the URL of a builder apart: `ssh-ng://[user@]host[:port]`, with Nix's parameters `remote-program` (default `nix-daemon`), `remote-store` and
 * `ssh-key`; or `ssh://` with the same meaning, as the worker protocol is what every Nix speaks. Without a user it is `nix-ssh`.
 *
 * @throws BuilderUrlError whose message does not repeat the URL
 */
export function parseBuilderUrl(text: string): BuilderAddress {
  const url = URL.parse(text)
  const known = url === null ? undefined : PARAMETERS[url.protocol]
  if (url === null || known === undefined)
    throw new BuilderUrlError('it has to begin with ssh-ng:// or ssh://')
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!isSshHost(host)) throw new BuilderUrlError('it names no host that ssh takes')
  if (url.password !== '') throw new BuilderUrlError('SSH takes no password from here, use a key')
  if (!['', '/'].includes(url.pathname) || url.hash !== '') {
    throw new BuilderUrlError('there is nothing after the host')
  }
  for (const name of url.searchParams.keys()) {
    if (known.includes(name) && url.searchParams.getAll(name).length === 1) continue
    throw new BuilderUrlError(
      `the parameters of ${url.protocol}// are ${known.join(', ')}, each at most once`,
    )
  }
  const user = decode(url.username) || DEFAULT_USER
  if (!isSshUser(user)) throw new BuilderUrlError('it names no user that ssh takes')
  const identityFile = url.searchParams.get('ssh-key')
  return {
    target: { host, user, ...(url.port !== '' && { port: Number(url.port) }) },
    command: daemonCommand(url.searchParams),
    ...(identityFile && { identityFile }),
  }
}

/** As in Nix, a program may have arguments (`sudo nix-daemon`). Every word reaches it as it stands. */
function daemonCommand(parameters: URLSearchParams): string {
  const program = parameters.get('remote-program')?.trim() || 'nix-daemon'
  const store = parameters.get('remote-store')
  return [...program.split(/\s+/), '--stdio', ...(store ? ['--store', store] : [])].map(shellWord).join(' ')
}

function shellWord(word: string): string {
  return /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
