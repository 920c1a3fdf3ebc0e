import { sshConnect } from '../../git/transport/ssh.ts'
import type { Connect } from '../daemon/connect.ts'
import { DaemonSource } from '../daemon/source.ts'
import { type BuilderAddress, parseBuilderUrl } from './url.ts'

export interface BuilderSourceInit {
  /** `ssh-ng://[user@]host[:port]`, see `parseBuilderUrl`. */
  readonly url: string
  /** Name of the machine in messages. */
  readonly name: string
}

export interface BuilderSourceOptions {
  /** File with the secret key for machines whose URL names none; without it the configuration of SSH decides. */
  readonly identityFile?: string
  /** The machine's store directory; default `/nix/store`. */
  readonly storeDir?: string
  /** The SSH client to run; default `ssh`. */
  readonly program?: string
  /** Gets what the daemon there says while it works. */
  readonly onMessage?: (text: string) => void
}

/** Milliseconds for connecting and both greetings. SSH gives up earlier when nobody answers, and says why. */
const CONNECT_TIMEOUT = 20_000

/** Milliseconds that an unused connection is kept: making one costs the keys of both sides some work. */
const KEEP_ALIVE = 30_000

/**
 * The packages of a machine with Nix, learned from its daemon through SSH. Every connection is one `ssh` that runs
 * `nix-daemon --stdio` there; nothing is run on this machine for it, also where the URL names `localhost`.
 *
 * Besides the errors of `DaemonSource` its methods throw those of `sshConnect` and the `SshError` of a connection that
 * breaks.
 *
 * @throws BuilderUrlError
 */
export function createBuilderSource(
  init: BuilderSourceInit,
  options: BuilderSourceOptions = {},
): DaemonSource {
  const { name, url } = init
  const { storeDir, onMessage } = options
  return new DaemonSource({
    name,
    connect: sshDaemon(parseBuilderUrl(url), options),
    connectTimeout: CONNECT_TIMEOUT,
    keepAlive: KEEP_ALIVE,
    ...(storeDir !== undefined && { storeDir }),
    ...(onMessage !== undefined && { onMessage }),
  })
}

/** Connects to the daemon of a machine; the factory throws what `sshConnect` throws. */
function sshDaemon(address: BuilderAddress, { identityFile, program }: BuilderSourceOptions): Connect {
  const key = address.identityFile ?? identityFile
  return async (signal) => {
    const { stream } = await sshConnect(
      address.target,
      {
        command: address.command,
        ...(key !== undefined && { identityFile: key }),
        ...(program !== undefined && { program }),
      },
      signal,
    )
    return stream
  }
}
