import { constants, type FileHandle, open } from 'node:fs/promises'
import { connect as connectSocket, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { abortedError, throwIfAborted } from '../abort.ts'
import { DaemonUnavailableError } from './errors.ts'

/**
 * Makes a byte stream to a Nix daemon: a unix socket, or the pipes of a program such as `ssh host nix-daemon
 * --stdio`. Resolves once bytes can be written. When `signal` fires before that, it gives up and rejects;
 * afterwards the signal means nothing to it. Destroying the stream frees all that it holds.
 */
export type Connect = (signal: AbortSignal) => Promise<Duplex>

/** Where Nix itself looks for the daemon's socket in this environment. */
export function defaultDaemonSocket(env: Readonly<Record<string, string | undefined>>): string {
  return env.NIX_DAEMON_SOCKET_PATH || join(env.NIX_STATE_DIR || '/nix/var/nix', 'daemon-socket/socket')
}

/**
 * Connects to the unix socket at `path`, of any length on Linux.
 *
 * The factory throws `DaemonUnavailableError` when nobody listens there, `AbortedError` when its signal fires.
 */
export function unixSocket(path: string): Connect {
  return async (signal) => {
    throwIfAborted(signal)
    let folder: FileHandle | undefined
    try {
      // The kernel takes about a hundred bytes of socket path. A longer one is reached through its open folder.
      if (Buffer.byteLength(path) > MAX_SOCKET_PATH && process.platform === 'linux') {
        folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
      }
      return await connected(folder ? `/proc/self/fd/${folder.fd}/${basename(path)}` : path, signal)
    } catch (error) {
      if (signal.aborted) throw abortedError(signal)
      throw unavailable(path, error)
    } finally {
      await folder?.close()
    }
  }
}

/** Bytes of a unix socket's path that all systems take (104 with the closing zero on macOS, 108 on Linux). */
const MAX_SOCKET_PATH = 103

function connected(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ path })
    const abort = () => socket.destroy(abortedError(signal))
    signal.addEventListener('abort', abort, { once: true })
    const settle = () => {
      signal.removeEventListener('abort', abort)
      socket.off('connect', succeed).off('error', fail)
    }
    const succeed = () => {
      settle()
      resolve(socket)
    }
    const fail = (error: Error) => {
      settle()
      reject(error)
    }
    socket.once('connect', succeed).once('error', fail)
  })
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there',
  EACCES: 'this user may not open it',
}

function unavailable(path: string, cause: unknown): DaemonUnavailableError {
  const reason = REASONS[errorCode(cause)] ?? errorMessage(cause)
  return new DaemonUnavailableError(
    `cannot reach the Nix daemon at ${path}: ${reason}; is nix-daemon running? ` +
      'NIX_DAEMON_SOCKET_PATH names the socket where it is another one',
    { cause },
  )
}
