/**
 * Connections through the system's OpenSSH. It brings what users have set up: keys and agents, `~/.ssh/config` with jump
 * hosts and aliases, `known_hosts`.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { AbortedError, errorCode } from '../../util/errors.ts'
import { SshFailedError, SshHostError, SshMissingError, sshError } from './ssh-errors.ts'
import { type PipedChild, ProcessStream } from './ssh-stream.ts'

export interface SshTarget {
  /** Host name, address (IPv6 without brackets) or an alias of `~/.ssh/config`. */
  readonly host: string
  /** Absent: what the configuration of SSH says, at last the name of this process's user. */
  readonly user?: string
  /** Absent: what the configuration of SSH says, at last 22. */
  readonly port?: number
}

export interface SshOptions {
  /** Command line for the shell on the other side; whoever builds it quotes it. */
  readonly command: string
  /** File with the secret key. When it is given, only it and the keys that `~/.ssh/config` names for the host are offered. */
  readonly identityFile?: string
  /** Variables for the other side. A server takes those that it is set up to accept. */
  readonly setEnv?: Readonly<Record<string, string>>
  /** The client to run; default `ssh`. */
  readonly program?: string
}

export interface SshConnection {
  /**
   * Standard input and output of the command. Fails with an `SshError` when it does not end well. Destroying it ends the
   * connection; `close` is emitted when nothing of it is left.
   */
  readonly stream: Duplex
  /** The end of what SSH and the command wrote to standard error, without control characters but line feeds. */
  stderr(): string
  /** Exit status of the command, or 255 for a failure of SSH; `null` when a signal ended it. Never rejects. */
  readonly closed: Promise<number | null>
}

/** Seconds that connecting may take, for each address. */
const CONNECT_TIMEOUT = 10
/** Seconds of silence after which the server is asked whether it is there, and how often until it is given up. */
const ALIVE_INTERVAL = 15
const ALIVE_COUNT = 3

/**
 * What holds for every connection. It is for one command and its bytes, so nothing is forwarded, no terminal is asked for,
 * and nobody is there to answer questions. What would run commands here or replace ours is switched off.
 */
const OPTIONS: readonly string[] = [
  'BatchMode=yes',
  `ConnectTimeout=${CONNECT_TIMEOUT}`,
  `ServerAliveInterval=${ALIVE_INTERVAL}`,
  `ServerAliveCountMax=${ALIVE_COUNT}`,
  'ClearAllForwardings=yes',
  'ForwardAgent=no',
  'ForwardX11=no',
  'PermitLocalCommand=no',
  'RemoteCommand=none',
  'LogLevel=INFO',
]

/**
 * Names end up in command lines that `~/.ssh/config` may build out of them (`ProxyCommand`, `Match exec`), so none that a
 * shell would read otherwise is let through, nor one that `ssh` would take for an option.
 */
const HOST = /^[\p{L}\p{N}_.:][\p{L}\p{N}_.:%-]*$/u
const USER = /^[\p{L}\p{N}_.+@][\p{L}\p{N}_.+@-]*$/u

/**
 * Starts a command on a host. Resolves when `ssh` runs, before it is connected: what fails afterwards is an error of the
 * stream. When `signal` fires before that, the call rejects; afterwards the signal means nothing.
 *
 * @throws SshHostError when host or user cannot be names; nothing was run
 * @throws SshMissingError when there is no `ssh`
 * @throws AbortedError when the signal fires
 */
export async function sshConnect(
  target: SshTarget,
  options: SshOptions,
  signal?: AbortSignal,
): Promise<SshConnection> {
  const args = sshArguments(target, options)
  const { program = 'ssh', command, setEnv } = options
  if (signal?.aborted) throw new AbortedError(undefined, { cause: signal.reason })
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...setEnv },
    // A process group of its own: it ends when we say so and not with the interrupt of a terminal, and with its helpers.
    detached: true,
  })
  await started(child, program, target.host)
  const stream: ProcessStream = new ProcessStream(child as PipedChild, (status) =>
    sshError(describe(target), command, status, stream.stderr()),
  )
  if (signal?.aborted) {
    stream.on('error', () => {}).destroy()
    throw new AbortedError(undefined, { cause: signal.reason })
  }
  return { stream, stderr: () => stream.stderr(), closed: stream.exited }
}

/**
 * The arguments of `ssh`.
 *
 * @throws SshHostError
 */
export function sshArguments(target: SshTarget, options: SshOptions): string[] {
  const { host, user, port } = target
  if (!isSshHost(host)) throw new SshHostError(`${quote(host)} cannot be the name of a host for ssh`)
  if (user !== undefined && !isSshUser(user)) {
    throw new SshHostError(`${quote(user)} cannot be the name of a user for ssh`)
  }
  const { identityFile, setEnv = {}, command } = options
  return [
    '-T',
    ...OPTIONS.flatMap((option) => ['-o', option]),
    // Not SetEnv, which would replace what the user's configuration sets.
    ...Object.keys(setEnv).flatMap((name) => ['-o', `SendEnv=${name}`]),
    ...(identityFile === undefined ? [] : ['-i', identityFile, '-o', 'IdentitiesOnly=yes']),
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    '--',
    host,
    command,
  ]
}

/** Whether a text can be a target's `host`. */
export function isSshHost(text: string): boolean {
  return HOST.test(text)
}

/** Whether a text can be a target's `user`. */
export function isSshUser(text: string): boolean {
  return USER.test(text)
}

async function started(child: ChildProcess, program: string, host: string): Promise<void> {
  try {
    await once(child, 'spawn')
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') throw new SshMissingError(program, { cause })
    throw new SshFailedError(host, String(cause))
  }
}

function describe({ host, user, port }: SshTarget): string {
  const name = host.includes(':') ? `[${host}]` : host
  return `${user === undefined ? '' : `${user}@`}${name}${port === undefined ? '' : `:${port}`}`
}

/** For messages: escaped, cut. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text)
}
