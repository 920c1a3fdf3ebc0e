import type { Writable } from 'node:stream'
import { DaemonProtocolError } from './errors.ts'
import { CLIENT_MAGIC, MAJOR, MAX, NEWEST_MINOR, OLDEST_MINOR, SERVER_MAGIC } from './protocol.ts'
import { readStderr } from './stderr.ts'
import { type WireReader, WireWriter } from './wire.ts'

/** What both sides agreed on. */
export interface DaemonHello {
  /** Minor version of protocol 1 that both speak. */
  readonly minor: number
  /** Protocol features of the daemon (none before 1.38). */
  readonly features: readonly string[]
  /** The daemon's Nix version, for instance `2.8.0`; absent before 1.33. */
  readonly nixVersion?: string
  /** Whether the daemon trusts this user; absent when it does not say (before 1.35). */
  readonly trusted?: boolean
}

/**
 * Opens a connection of the worker protocol.
 *
 * @throws DaemonProtocolError when no daemon is at the other end, or one whose protocol is older than 1.21
 */
export async function handshake(
  reader: WireReader,
  output: Writable,
  onMessage?: (text: string) => void,
): Promise<DaemonHello> {
  output.write(
    new WireWriter()
      .u64(CLIENT_MAGIC)
      .u64(MAJOR * 256 + NEWEST_MINOR)
      .finish(),
  )
  if ((await reader.u64()) !== SERVER_MAGIC) throw reader.protocolError('what answers is no Nix daemon')
  const version = await reader.u64()
  const daemonMajor = Math.floor(version / 256)
  const minor = Math.min(version % 256, NEWEST_MINOR)
  if (daemonMajor !== MAJOR || minor < OLDEST_MINOR) {
    throw new DaemonProtocolError(
      `${reader.peer} speaks version ${daemonMajor}.${version % 256} of the worker protocol; ` +
        `${MAJOR}.${OLDEST_MINOR} to ${MAJOR}.${NEWEST_MINOR} are understood (Nix 2.0 and newer)`,
    )
  }

  const rest = new WireWriter()
  // We use no feature, so the list of what we can is empty.
  if (minor >= 38) rest.strings([])
  // Two settings of old times: no CPU affinity, no reserved space.
  output.write(rest.u64(0).u64(0).finish())

  const features = minor >= 38 ? await reader.strings(MAX.features, MAX.field) : []
  const nixVersion = minor >= 33 ? await reader.string(MAX.field) : undefined
  const trust = minor >= 35 ? await reader.u64() : 0
  if (trust > 2) throw reader.protocolError(`${trust} as level of trust`)
  await readStderr(reader, { minor, onMessage })
  return {
    minor,
    features,
    ...(nixVersion !== undefined && { nixVersion }),
    ...(trust !== 0 && { trusted: trust === 1 }),
  }
}
