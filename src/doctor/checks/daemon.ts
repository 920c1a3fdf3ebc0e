import { DaemonClient } from '../../ingest/daemon/client.ts'
import { defaultDaemonSocket, unixSocket } from '../../ingest/daemon/connect.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, type Finding } from '../finding.ts'

/** Whether the local Nix daemon answers, where packages are to be learned from it. */
export const daemonCheck: Check = { name: 'daemon', run }

async function* run({ config, env, signal }: CheckContext): AsyncGenerator<Finding> {
  if (!config.store.useLocalNixDaemon) return
  const connect = unixSocket(defaultDaemonSocket(env))
  try {
    const client = await DaemonClient.open(connect, { peer: 'the local Nix daemon', signal })
    client.close()
  } catch (error) {
    signal.throwIfAborted()
    const unavailable = errorCode(error) === 'ERR_DAEMON_UNAVAILABLE'
    yield broken(
      unavailable ? 'DAEMON_UNREACHABLE' : 'DAEMON_UNUSABLE',
      errorMessage(error),
      unavailable
        ? 'systemctl start nix-daemon.socket, or set store.use_local_nix_daemon: false where no packages are added here'
        : 'update Nix; gachix understands the daemons of Nix 2.0 and newer',
    )
  }
}
