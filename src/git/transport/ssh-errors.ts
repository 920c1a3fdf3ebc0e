import { GachixError } from '../../util/errors.ts'

/** A connection through OpenSSH failed. Subclasses say why. */
export class SshError extends GachixError {}

/** Host or user is not a name that may be handed to `ssh`. Nothing was run. */
export class SshHostError extends SshError {
  constructor(message: string) {
    super('ERR_SSH_HOST', message)
  }
}

/** There is no `ssh` program on this machine. */
export class SshMissingError extends SshError {
  constructor(program: string, options?: ErrorOptions) {
    super(
      'ERR_SSH_MISSING',
      `cannot run ${program}: install the OpenSSH client, or put it on the PATH of this process`,
      options,
    )
  }
}

/** The host has another key than `known_hosts` says: it was set up anew, or somebody is in between. */
export class SshHostKeyError extends SshError {
  constructor(host: string, words: string) {
    const known = /Offending \S+ key in (.+)$/m.exec(words)?.[1]
    super(
      'ERR_SSH_HOST_KEY',
      `the host key of ${host} is not the known one${known ? ` (${known})` : ''}: somebody may be in between. ` +
        `If the host was set up anew, compare the new key there and replace the old one with ssh-keygen -R`,
    )
  }
}

/** The host's key is not in `known_hosts`, and there is nobody to ask. */
export class SshHostKeyUnknownError extends SshError {
  constructor(host: string) {
    super(
      'ERR_SSH_HOST_KEY_UNKNOWN',
      `the host key of ${host} is not known: connect once by hand with ssh as the user that gachix runs as, ` +
        `compare the key and accept it, or add it to known_hosts`,
    )
  }
}

/** The host lets none of our keys in. */
export class SshAuthError extends SshError {
  constructor(host: string, words: string) {
    super(
      'ERR_SSH_AUTH',
      `${host} does not let us in: ${words}. Is the right user in the URL, and the public key of ` +
        `store.ssh_private_key_path, or of a key of the SSH agent, among that user's authorized_keys?`,
    )
  }
}

/** No connection to the host, or it was lost. */
export class SshUnreachableError extends SshError {
  constructor(host: string, words: string) {
    super('ERR_SSH_UNREACHABLE', `cannot reach ${host} over SSH: ${words}. Check host name, port and network`)
  }
}

/** Whatever else `ssh` itself complains of, such as a mistake in its configuration. */
export class SshFailedError extends SshError {
  constructor(host: string, words: string) {
    super(
      'ERR_SSH_FAILED',
      `ssh to ${host} failed: ${words}. The same command line by hand, with -v, tells more`,
    )
  }
}

/** The host does not have the program that was to run there. */
export class SshCommandMissingError extends SshError {
  constructor(host: string, command: string, words: string) {
    super(
      'ERR_SSH_COMMAND_MISSING',
      `${host} has no such command as ${command}: ${words}. Install it there, or put it on the PATH of the user's ` +
        `non-interactive shell`,
    )
  }
}

/** The program on the host ended with a failure. */
export class SshCommandError extends SshError {
  /** Exit status; `null` when a signal ended it. */
  readonly status: number | null

  constructor(host: string, command: string, status: number | null, words: string) {
    const what = status === 0 ? 'ended too early' : `failed (exit status ${status ?? 'unknown'})`
    super('ERR_SSH_COMMAND', `${command} on ${host} ${what}: ${words}`)
    this.status = status
  }
}

/** `ssh` uses this exit status for failures of its own. A remote command that does so too cannot be told apart. */
const SSH_FAILED = 255
/** Shells use it for a command that is not there. */
const COMMAND_NOT_FOUND = 127

const UNREACHABLE =
  /Connection (refused|timed out|closed|reset)|Could not resolve|timed? ?out|No route to host|unreachable|kex_exchange_identification|Broken pipe|not responding/i

/**
 * What a failed `ssh` means.
 *
 * @param host for messages
 * @param command what was to run there, for messages
 * @param status exit status of `ssh`; `null` when a signal ended it
 * @param stderr what it wrote to its standard error, without control characters other than line feeds
 */
export function sshError(host: string, command: string, status: number | null, stderr: string): SshError {
  const words = lastWords(stderr)
  if (status === COMMAND_NOT_FOUND) return new SshCommandMissingError(host, command, words)
  if (status !== SSH_FAILED) return new SshCommandError(host, command, status, words)
  if (/IDENTIFICATION HAS CHANGED|Offending \S+ key in/.test(stderr)) return new SshHostKeyError(host, stderr)
  if (/Host key verification failed|host key is known for/.test(stderr))
    return new SshHostKeyUnknownError(host)
  if (/Permission denied|Too many authentication failures/.test(stderr)) return new SshAuthError(host, words)
  if (UNREACHABLE.test(stderr)) return new SshUnreachableError(host, words)
  return new SshFailedError(host, words)
}

/** Lines of a message's end that say something. Before them stand banners and warnings. */
const LAST_LINES = 3

function lastWords(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim().replace(/\.$/, ''))
    .filter((line) => /\w/.test(line))
  return lines.slice(-LAST_LINES).join('; ') || 'it did not say why'
}
