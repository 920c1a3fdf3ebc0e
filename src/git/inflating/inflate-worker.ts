import '../../util/slabs.ts'
import { parentPort } from 'node:worker_threads'
import { inflatePart } from './inflate-part.ts'
import type { InflateReply, InflateRequest } from './messages.ts'

const port = parentPort
if (port === null) throw new Error('this module runs as a worker thread')

port.on('message', ({ id, deflated, length, target, size }: InflateRequest & { readonly id: number }) => {
  const result = inflatePart(new Uint8Array(deflated, 0, length), new Uint8Array(target), size)
  port.postMessage({ id, result } satisfies InflateReply)
})
