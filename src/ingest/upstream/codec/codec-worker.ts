/** A thread that decodes formats whose libraries decode in one go, or slowly. */
import '../../../util/slabs.ts'
import { ReadableStream } from 'node:stream/web'
import { parentPort } from 'node:worker_threads'
import Bunzip from 'seek-bzip'
import xz from 'xz-decompress'
import { type DecoderJob, SyncPort } from './sync-port.ts'

/** Bytes of a piece of bzip2's output. */
const PIECE = 64 * 1024

parentPort?.on('message', (job: DecoderJob) => {
  const port = new SyncPort(job)
  const decoding = job.codec === 'xz' ? decodeXz(port) : decodeBzip2(port)
  decoding.then(
    () => port.finish(),
    (error: unknown) => port.finish(error),
  )
})

async function decodeXz(port: SyncPort): Promise<void> {
  const input = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = port.read()
      if (piece === undefined) controller.close()
      else controller.enqueue(piece)
    },
  })
  for await (const piece of new xz.XzReadableStream(input as globalThis.ReadableStream<Uint8Array>)) {
    if (piece.length > 0) port.write(piece as Uint8Array<ArrayBuffer>)
  }
}

async function decodeBzip2(port: SyncPort): Promise<void> {
  let piece: Uint8Array | undefined = new Uint8Array(0)
  let at = 0
  const more = (): boolean => {
    while (piece !== undefined && at === piece.length) {
      piece = port.read()
      at = 0
    }
    return piece !== undefined
  }
  const input = Object.assign(new Bunzip.Stream(), {
    readByte: (): number => {
      if (!more()) throw new Error('it ends too early')
      return piece![at++]!
    },
    eof: (): boolean => !more(),
  })
  let out = new Uint8Array(PIECE)
  let length = 0
  const output = Object.assign(new Bunzip.Stream(), {
    writeByte: (byte: number): void => {
      out[length++] = byte
      if (length < PIECE) return
      port.write(out)
      out = new Uint8Array(PIECE)
      length = 0
    },
  })
  Bunzip.decode(input, output, true)
  if (length > 0) port.write(out.slice(0, length))
}
