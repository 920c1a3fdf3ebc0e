import { parentPort } from 'node:worker_threads'
import { createReclaimer } from '../../util/reclaim.ts'
import { encodeChunk } from './chunk.ts'
import type { DeflateReply, DeflateRequest } from './messages.ts'

const port = parentPort
if (port === null) throw new Error('this module runs as a worker thread')

const reclaim = createReclaimer()

port.on('message', (request: DeflateRequest) => {
  const { byteLength } = request.bytes
  try {
    const reply = encodeAll(request)
    port.postMessage(reply, reply.bytes === undefined ? [] : [reply.bytes])
    reclaim(2 * byteLength)
  } catch (error) {
    port.postMessage({ id: request.id, error: String(error) } satisfies DeflateReply)
  }
})

function encodeAll(request: DeflateRequest): DeflateReply {
  const results: number[] = []
  const parts: Uint8Array[] = []
  let total = 0
  let offset = 0
  for (let i = 0; i < request.lengths.length; i += 2) {
    const length = request.lengths[i + 1]!
    const chunk = encodeChunk(
      new Uint8Array(request.bytes, offset, length),
      request.lengths[i]!,
      request.level,
    )
    offset += length
    total += chunk.deflated.length
    parts.push(chunk.deflated)
    results.push(chunk.deflated.length, chunk.adler32, chunk.crc32)
  }
  const bytes = new Uint8Array(new ArrayBuffer(total))
  let position = 0
  for (const part of parts) {
    bytes.set(part, position)
    position += part.length
  }
  return { id: request.id, bytes: bytes.buffer, results }
}
