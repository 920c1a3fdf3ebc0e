/**
 * Finds whom to ask: the node that has the repository open, or, when none runs, the repository itself.
 */
import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { LoadedConfig } from '../config/parse.ts'
import { findGitDir } from '../git/git-dir.ts'
import { RepositoryLock, RepositoryLockedError } from '../git/lock.ts'
import type { Operations } from '../http/control/api.ts'
import { AbortedError, errorCode, GachixError } from '../util/errors.ts'
import type { Workspace } from '../workspace.ts'
import type { CliContext } from './context.ts'
import { connectToNode } from './node-connection.ts'

/** Time between two looks at a repository that is in use, in milliseconds. */
const POLL_INTERVAL = 100
/** Time that a node may take from taking the lock to listening on its control socket, in milliseconds. */
const START_LIMIT = 30_000

/** The operations that change nothing. */
export type Reader = Pick<Operations, 'list' | 'info'>

/** No node has the repository open. */
export class NodeNotRunningError extends GachixError {
  constructor(path: string) {
    super('ERR_NODE_NOT_RUNNING', `no node runs on the repository ${path}; gachix serve starts one`)
  }
}

/**
 * Does something with the packages of the configured repository, which is made when there is none. Another command that
 * works on the repository is waited for.
 *
 * @throws whatever `work` throws; GachixError when the repository cannot be opened
 */
export async function withOperations<T>(
  loaded: LoadedConfig,
  context: CliContext,
  work: (operations: Operations) => Promise<T>,
): Promise<T> {
  const { path } = loaded.config.store
  let announced = false
  let since = Date.now()
  for (;;) {
    const holder = await lockHolder(path)
    if (holder === undefined) {
      const workspace = await openWorkspace(loaded, context)
      if (workspace !== undefined) return await useWorkspace(workspace, work)
      since = Date.now()
    } else if (holder.controlSocket !== undefined) {
      const node = await connectToNode(holder.controlSocket)
      if (node !== undefined) return await work(node)
      if (Date.now() - since > START_LIMIT) throw new RepositoryLockedError(path, holder)
    } else if (!announced) {
      announced = true
      context.stderr.write(`waiting for process ${holder.pid}, which works on ${path}\n`)
    }
    await pause(context.signal)
  }
}

/** Like `withOperations` for what only reads: a repository that does not exist yet is empty, and is not made. */
export async function withReader<T>(
  loaded: LoadedConfig,
  context: CliContext,
  work: (reader: Reader) => Promise<T>,
): Promise<T> {
  const { path } = loaded.config.store
  if (await isNothing(path)) {
    context.stderr.write(`there is no repository at ${path} yet\n`)
    return await work(EMPTY)
  }
  return await withOperations(loaded, context, work)
}

/**
 * Asks the running node.
 *
 * @throws NodeNotRunningError
 */
export async function withRunningNode<T>(
  { config }: LoadedConfig,
  work: (operations: Operations) => Promise<T>,
): Promise<T> {
  const socket = (await lockHolder(config.store.path))?.controlSocket
  const node = socket === undefined ? undefined : await connectToNode(socket)
  if (node === undefined) throw new NodeNotRunningError(config.store.path)
  return await work(node)
}

const EMPTY: Reader = {
  async *list() {},
  async info() {
    return undefined
  },
}

async function isNothing(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  })
  return names.length === 0
}

async function lockHolder(path: string) {
  const gitDir = await findGitDir(path)
  return gitDir === undefined ? undefined : await RepositoryLock.read(gitDir)
}

/** `undefined` when another process was quicker. */
async function openWorkspace(loaded: LoadedConfig, context: CliContext): Promise<Workspace | undefined> {
  // Loaded only where it is needed: most commands ask a node, and are there at once without it.
  const [{ Workspace }, { commandLogger }] = await Promise.all([
    import('../workspace.ts'),
    import('./command-logger.ts'),
  ])
  try {
    return await Workspace.open({ config: loaded.config, logger: commandLogger(loaded), env: context.env })
  } catch (error) {
    if (error instanceof RepositoryLockedError && error.holder !== undefined) return undefined
    throw error
  }
}

async function useWorkspace<T>(
  workspace: Workspace,
  work: (operations: Operations) => Promise<T>,
): Promise<T> {
  try {
    return await work(workspace.operations)
  } finally {
    await workspace.close()
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await delay(POLL_INTERVAL, undefined, { signal }).catch((cause: unknown) => {
    throw new AbortedError(undefined, { cause })
  })
}
