/**
 * The daemon's side of the worker protocol, played from a script: for versions, errors and faults that the real
 * daemon of this machine does not produce. The bytes that it sends are put together here, apart from the code
 * under test.
 */
import { type Duplex, duplexPair } from 'node:stream'
import type { Connect } from '../../src/ingest/daemon/connect.ts'

export const LAST = u64(0x616c7473)
export const ERROR = u64(0x63787470)

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

export function str(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string)
  return Buffer.concat([u64(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)])
}

export function strs(...texts: string[]): Buffer {
  return Buffer.concat([u64(texts.length), ...texts.map(str)])
}

/** An error record of protocol 1.26 and later. */
export function errorRecord(message: string, traces: readonly string[] = []): Buffer {
  return Buffer.concat([
    ERROR,
    ...[str('Error'), u64(0), str('Error'), str(message), u64(0), u64(traces.length)],
    ...traces.flatMap((trace) => [u64(0), str(trace)]),
  ])
}

/** The answer to QueryPathInfo for a valid path. */
export function pathInfoAnswer(info: {
  deriver?: string
  narHash?: string
  references?: string[]
  narSize?: number
  signatures?: string[]
  ca?: string
}): Buffer {
  return Buffer.concat([
    ...[
      LAST,
      u64(1),
      str(info.deriver ?? ''),
      str(info.narHash ?? 'ab'.repeat(32)),
      strs(...(info.references ?? [])),
    ],
    ...[
      u64(1_700_000_000),
      u64(info.narSize ?? 120),
      u64(0),
      strs(...(info.signatures ?? [])),
      str(info.ca ?? ''),
    ],
  ])
}

/** A NAR of one regular file. */
export function fileNar(contents: string): Buffer {
  return Buffer.concat(['nix-archive-1', '(', 'type', 'regular', 'contents', contents, ')'].map(str))
}

/** The daemon's end of one connection. */
export class DaemonPeer {
  readonly stream: Duplex
  #unread: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined
  #ended = false

  constructor(stream: Duplex) {
    this.stream = stream
    stream.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk])
      this.#wake?.()
    })
    for (const event of ['end', 'close']) {
      stream.on(event, () => {
        this.#ended = true
        this.#wake?.()
      })
    }
    stream.on('error', () => {})
  }

  /** The next bytes from the client; throws when it hangs up before they are there. */
  async read(count: number): Promise<Buffer> {
    while (this.#unread.length < count) {
      if (this.#ended) throw new HungUp()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const bytes = this.#unread.subarray(0, count)
    this.#unread = this.#unread.subarray(count)
    return bytes
  }

  async u64(): Promise<number> {
    return Number((await this.read(8)).readBigUInt64LE())
  }

  async str(): Promise<string> {
    const length = await this.u64()
    return (await this.read(Math.ceil(length / 8) * 8)).subarray(0, length).toString()
  }

  send(...parts: Uint8Array[]): void {
    this.stream.write(Buffer.concat(parts))
  }

  /** Greets as a daemon of protocol `1.minor` does. */
  async greet(minor: number, features: readonly string[] = []): Promise<void> {
    await this.read(8)
    this.send(u64(0x6478696f), u64(256 + minor))
    await this.read(8)
    if (minor >= 38) {
      for (let count = await this.u64(); count > 0; count--) await this.str()
      this.send(strs(...features))
    }
    await this.read(16)
    if (minor >= 33) this.send(str('2.99-test'))
    if (minor >= 35) this.send(u64(1))
    this.send(LAST)
  }

  /** Reads an operation whose only argument is a string, and gives both. */
  async operation(): Promise<[number, string]> {
    return [await this.u64(), await this.str()]
  }
}

class HungUp extends Error {}

/**
 * Connects to peers that follow the script, one for each connection. The script's end does not hang up; hanging
 * up of the client ends the script.
 */
export function daemonPeer(
  script: (peer: DaemonPeer, connection: number) => Promise<void>,
): Connect & { readonly streams: Duplex[] } {
  const streams: Duplex[] = []
  const connect = async () => {
    const [ours, theirs] = duplexPair()
    streams.push(ours)
    script(new DaemonPeer(theirs), streams.length).catch((error: unknown) => {
      if (!(error instanceof HungUp)) ours.destroy(error as Error)
    })
    return ours
  }
  return Object.assign(connect, { streams })
}
