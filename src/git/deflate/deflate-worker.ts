import '../../util/slabs.ts'
import { parentPort, workerData } from 'node:worker_threads'
import { standBack } from '../../util/thread-priority.ts'
import type { DeflateReply, DeflateRequest, DeflateWorkerData } from './messages.ts'
import { PortionEncoder } from './portion-encoder.ts'

const port = parentPort
if (port === null) throw new Error('this module runs as a worker thread')

const { module, level, behind } = workerData as DeflateWorkerData
if (behind) standBack()
const encoder = new PortionEncoder(module, level)

port.on('message', (request: DeflateRequest) => {
  let reply: DeflateReply
  try {
    reply = { id: request.id, results: encoder.encode(request.memory, request.lengths) }
  } catch (error) {
    reply = { id: request.id, error: String(error) }
  }
  port.postMessage(reply)
})
