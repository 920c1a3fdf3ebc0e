import type { ConnectContext, GitConnection, GitService, GitTransport, VersionRequest } from './connection.ts'
import type { SshUrl } from './remote-url.ts'
import { sshConnect } from './ssh.ts'
import { StreamConnection } from './stream-connection.ts'

const VERSION_2 = 'version=2'

export interface SshTransportOptions {
  /** File with the secret key; absent: the agent and what `~/.ssh/config` says. */
  readonly identityFile?: string
  /** The client to run; default `ssh`. */
  readonly program?: string
}

/** A repository behind an SSH server, reached with the system's OpenSSH. */
export class SshTransport implements GitTransport {
  readonly kind = 'ssh'
  readonly name: string
  readonly versionRequests = ['announced', 'inline'] as const
  readonly #url: SshUrl
  readonly #options: SshTransportOptions

  constructor(url: SshUrl, options: SshTransportOptions = {}) {
    this.name = url.display
    this.#url = url
    this.#options = options
  }

  async connect(
    service: GitService,
    version: VersionRequest,
    context: ConnectContext,
  ): Promise<GitConnection> {
    const command = `${service} ${shellQuote(this.#url.path)}`
    const { stream } = await sshConnect(
      this.#url,
      {
        command: version === 'inline' ? `env GIT_PROTOCOL=${VERSION_2} ${command}` : command,
        ...(version === 'announced' ? { setEnv: { GIT_PROTOCOL: VERSION_2 } } : {}),
        ...this.#options,
      },
      context.signal,
    )
    return new StreamConnection(this.name, stream, context)
  }
}

/**
 * A word for the shell on the other side, quoted as Git does it, because `git-shell` and forges take no other form: in
 * single quotes, `'` and `!` (which csh would replace even there) behind a backslash outside of them.
 */
export function shellQuote(word: string): string {
  return `'${word.replace(/['!]/g, (character) => `'\\${character}'`)}'`
}
