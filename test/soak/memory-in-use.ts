/**
 * What a node has in use, without what is only waiting to be collected. Loaded into it with `--import`, beside `--expose-gc`,
 * this answers whoever connects to the socket that `GACHIX_SOAK_SOCKET` names, after a full collection.
 */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'

/** Name of the variable with the path of the socket. */
export const SOCKET_VARIABLE = 'GACHIX_SOAK_SOCKET'

const path = process.env[SOCKET_VARIABLE]
if (isMainThread && path !== undefined && process.argv.includes('serve')) {
  rmSync(path, { force: true })
  createServer(async (socket) => {
    socket.on('error', () => {})
    socket.end(String(await collected()))
  })
    .listen(path)
    .unref()
}

/** Bytes of JavaScript objects and of buffers outside of them. What the first collection lets go of may hold more. */
async function collected(): Promise<number> {
  for (let i = 0; i < 2; i++) {
    globalThis.gc!()
    await turn()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
