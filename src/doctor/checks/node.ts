import { RepositoryLock } from '../../git/lock.ts'
import type { NodeStatus } from '../../http/control/api.ts'
import { ControlClient } from '../../http/control/client.ts'
import { DEFAULT_TIMEOUTS } from '../../http/limits.ts'
import { Listener } from '../../http/listener.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, type Finding } from '../finding.ts'

/** A node answers in milliseconds; one that takes as long hangs. In milliseconds. */
const ANSWER_LIMIT = 10_000

/** Whether the running node answers, on its control socket and over HTTP; or whether one could be started. */
export const nodeCheck: Check = { name: 'node', run }

async function* run(context: CheckContext): AsyncGenerator<Finding> {
  const { gitDir } = context
  const holder = gitDir === undefined ? undefined : await RepositoryLock.read(gitDir).catch(() => undefined)
  if (holder?.controlSocket === undefined) {
    if (holder === undefined) yield* couldListen(context)
    return
  }
  const limit = AbortSignal.any([context.signal, AbortSignal.timeout(ANSWER_LIMIT)])
  let status: NodeStatus
  try {
    status = await orAbort(new ControlClient(holder.controlSocket).status(), limit)
  } catch (error) {
    const mine = errorCode(error) !== 'ERR_NODE_UNREACHABLE' || !/another user/.test(errorMessage(error))
    yield broken(
      'NODE_SILENT',
      `process ${holder.pid} has the repository open and does not answer: ${errorMessage(error)}`,
      mine
        ? `restart it: kill ${holder.pid}, then gachix serve`
        : 'run gachix doctor as the user of the node',
    )
    return
  }
  const url = status.http?.url
  if (url === undefined) return
  try {
    const response = await fetch(`${url}/nix-cache-info`, { signal: limit })
    const text = await response.text()
    if (response.status === 200 && text.includes(`StoreDir: ${status.store.storeDir}\n`)) return
    throw new Error(`the answer was ${response.status} and not that of a binary cache`)
  } catch (error) {
    const cause =
      error instanceof Error && error.cause !== undefined ? errorMessage(error.cause) : errorMessage(error)
    yield broken(
      'HTTP_SILENT',
      `the node does not serve at ${url}: ${cause}`,
      'see whether a proxy or a firewall is between, then the log of the node',
    )
  }
}

async function* couldListen({ config }: CheckContext): AsyncGenerator<Finding> {
  const { host, port } = config.server
  const listener = new Listener(() => {}, DEFAULT_TIMEOUTS)
  try {
    await listener.start(host, port)
    await listener.stop()
  } catch (error) {
    const code = errorCode(error) === 'ERR_ADDRESS_IN_USE' ? 'PORT_TAKEN' : 'ADDRESS_UNUSABLE'
    yield broken(code, errorMessage(error), 'set server.host and server.port to what this machine has free')
  }
}

/** The promise's value, unless the signal fires first. */
async function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(new Error(`no answer within ${ANSWER_LIMIT / 1000} s`))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
