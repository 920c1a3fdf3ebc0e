import { errorMessage } from '../../util/errors.ts'
import { readBounded } from '../../util/read-bounded.ts'
import { PreSharedKeyError } from '../errors.ts'

/** Bytes of a key file: 95, and white space. */
const MAX_KEY_FILE_SIZE = 256

const KEY_FILE = /^\/key\/swarm\/psk\/1\.0\.0\/\n\/base16\/\n[0-9a-f]{64}\s*$/

/**
 * Reads the key that all nodes of a private mesh share, in the form of libp2p's `swarm.key`: the lines
 * `/key/swarm/psk/1.0.0/` and `/base16/`, then 64 lower case hexadecimal digits. Without it nobody gets as far as the handshake.
 *
 * @throws PreSharedKeyError
 */
export function readPreSharedKey(path: string): Uint8Array {
  let bytes: Uint8Array | undefined
  try {
    bytes = readBounded(path, MAX_KEY_FILE_SIZE)
  } catch (error) {
    throw new PreSharedKeyError(
      `cannot read ${path}, named by mesh.pre_shared_key_path: ${errorMessage(error)}`,
      {
        cause: error,
      },
    )
  }
  const text = Buffer.from(bytes ?? []).toString()
  if (!KEY_FILE.test(text)) {
    throw new PreSharedKeyError(
      `${path} holds no pre-shared key: it must have the lines /key/swarm/psk/1.0.0/ and /base16/, and one of 64 lower case hexadecimal digits`,
    )
  }
  return Buffer.from(text.trimEnd())
}
