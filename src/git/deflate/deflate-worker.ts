import { parentPort, workerData } from 'node:worker_threads'
import { standBack } from '../../util/thread-priority.ts'
import { ChunkDeflater } from './chunk-deflater.ts'
import type { DeflateReply, DeflateRequest, DeflateWorkerData } from './messages.ts'
import { PORTION_BYTES } from './portion.ts'

const port = parentPort
if (port === null) throw new Error('this module runs as a worker thread')

const { module, level, behind } = workerData as DeflateWorkerData
if (behind) standBack()
const deflater = new ChunkDeflater(module, level)
/** The contents, once the chunks take their place. */
const contents = new Uint8Array(PORTION_BYTES)

port.on('message', (request: DeflateRequest) => {
  let reply: DeflateReply
  try {
    reply = { id: request.id, results: encodeAll(request) }
  } catch (error) {
    reply = { id: request.id, error: String(error) }
  }
  port.postMessage(reply)
})

function encodeAll({ memory, lengths }: DeflateRequest): number[] {
  const shared = new Uint8Array(memory)
  const size = lengths.reduce((sum, length) => sum + length, 0)
  contents.set(shared.subarray(0, size))
  const results: number[] = []
  let from = 0
  let to = 0
  for (const length of lengths) {
    const { deflated, adler32, crc32 } = deflater.encode(contents.subarray(from, from + length))
    shared.set(deflated, to)
    results.push(deflated.length, adler32, crc32)
    from += length
    to += deflated.length
  }
  return results
}
