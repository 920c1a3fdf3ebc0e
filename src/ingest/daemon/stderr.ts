import { DaemonError } from './errors.ts'
import { MAX, STDERR } from './protocol.ts'
import type { WireReader } from './wire.ts'

export interface StderrOptions {
  /** Minor version of the protocol. */
  readonly minor: number
  /** Gets the daemon's log lines and the names of what it starts, for instance that it waits for a lock. */
  readonly onMessage?: ((text: string) => void) | undefined
}

/**
 * Reads the records that a daemon sends before the result of an operation, up to and with the one that says that
 * the result follows.
 *
 * @throws DaemonError when the daemon refuses the request
 * @throws DaemonProtocolError for a record that does not belong here
 */
export async function readStderr(reader: WireReader, options: StderrOptions): Promise<void> {
  for (;;) {
    const record = await reader.u64()
    switch (record) {
      case STDERR.last:
        return
      case STDERR.error:
        throw await readError(reader, options.minor)
      case STDERR.next:
        report(await reader.string(MAX.message), options)
        break
      case STDERR.startActivity:
        await reader.u64() // id
        await reader.u64() // level
        await reader.u64() // type
        report(await reader.string(MAX.message), options)
        await skipFields(reader)
        await reader.u64() // parent
        break
      case STDERR.stopActivity:
        await reader.u64() // id
        break
      case STDERR.result:
        await reader.u64() // id
        await reader.u64() // type
        await skipFields(reader)
        break
      default:
        throw reader.protocolError(`the unknown record 0x${record.toString(16)}`)
    }
  }
}

/** Reads what follows the number of an error record. Version 1.26 brought names, levels and traces. */
export async function readError(reader: WireReader, minor: number): Promise<DaemonError> {
  if (minor < 26) {
    const message = await reader.string(MAX.message)
    await reader.u64() // exit status
    return new DaemonError(reader.peer, plainText(message))
  }
  await reader.string(MAX.field) // type, always "Error"
  await reader.u64() // level
  await reader.string(MAX.field) // name
  const message = await reader.string(MAX.message)
  await skipPosition(reader)
  const count = await reader.u64()
  if (count > MAX.parts) throw reader.protocolError(`an error with ${count} traces`)
  const traces: string[] = []
  for (let i = 0; i < count; i++) {
    await skipPosition(reader)
    traces.push(plainText(await reader.string(MAX.field)))
  }
  return new DaemonError(reader.peer, plainText(message), traces)
}

/** Positions in Nix expressions are announced by a flag that no daemon sets; what would follow is not defined. */
async function skipPosition(reader: WireReader): Promise<void> {
  if (await reader.bool()) throw reader.protocolError('an error with a source position')
}

/** Typed fields of an activity: 0 and an integer, or 1 and a string. */
async function skipFields(reader: WireReader): Promise<void> {
  const count = await reader.u64()
  if (count > MAX.parts) throw reader.protocolError(`a message with ${count} fields`)
  for (let i = 0; i < count; i++) {
    if (await reader.bool()) await reader.bytes(MAX.message)
    else await reader.u64()
  }
}

function report(text: string, options: StderrOptions): void {
  const plain = options.onMessage === undefined ? '' : plainText(text)
  if (plain !== '') options.onMessage?.(plain)
}

// Control sequences (colours), operating system commands (titles, links) and two-character escapes.
const ESCAPES = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g

/**
 * A message without terminal escapes and control characters (line feed and tab stay) and without blanks at its
 * ends.
 */
export function plainText(text: string): string {
  return text.replace(ESCAPES, '').replace(CONTROLS, '').trim()
}
