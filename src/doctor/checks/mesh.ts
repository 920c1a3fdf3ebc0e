import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { RepositoryLock } from '../../git/lock.ts'
import { parsePeerAddress } from '../../peers/address.ts'
import { readPreSharedKey } from '../../peers/swarm/pre-shared-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

/** Time for a peer to accept a connection, in milliseconds. */
const CONNECT_LIMIT = 5_000

/** Whether the mesh can be listened for, whether somebody may come, and whether the named peers are there. */
export const meshCheck: Check = { name: 'mesh', run }

async function* run(context: CheckContext): AsyncGenerator<Finding> {
  const { mesh } = context.config
  if (!mesh.enabled) return
  if (mesh.preSharedKeyPath !== undefined) yield* preSharedKey(mesh.preSharedKeyPath)
  if (mesh.policy === 'allow-list' && mesh.peers.length + mesh.allow.length === 0) {
    yield doubtful(
      'MESH_CLOSED',
      'mesh.policy is allow-list, and the settings allow nobody: only peers that gachix peer add has named can connect',
      'put the ids of peers (gachix peer id there) under mesh.allow',
    )
  }
  if (!(await nodeRuns(context))) yield* couldListen(mesh.listen)
  const silent = await Promise.all(mesh.peers.map((peer) => unreachable(peer, context.signal)))
  yield* silent.filter((finding) => finding !== undefined)
}

async function* preSharedKey(path: string): AsyncGenerator<Finding> {
  try {
    readPreSharedKey(path)
  } catch (error) {
    yield broken(
      'PRE_SHARED_KEY_UNUSABLE',
      errorMessage(error),
      'copy the file of another node of this mesh: without its key nobody answers',
    )
    return
  }
  const { mode } = await stat(path)
  if ((mode & 0o077) === 0) return
  yield broken(
    'PRE_SHARED_KEY_READABLE',
    `${path} can be read by others than its owner: who reads it can enter the mesh`,
    `chmod 600 ${path}`,
  )
}

async function nodeRuns({ gitDir }: CheckContext): Promise<boolean> {
  const holder = gitDir === undefined ? undefined : await RepositoryLock.read(gitDir).catch(() => undefined)
  return holder?.controlSocket !== undefined
}

async function* couldListen(addresses: readonly string[]): AsyncGenerator<Finding> {
  for (const address of addresses) {
    const server = createServer()
    try {
      server.listen(hostAndPort(address))
      await once(server, 'listening')
    } catch (error) {
      yield broken(
        'MESH_ADDRESS_UNUSABLE',
        `the mesh cannot listen on ${address}: ${errorMessage(error)}`,
        'set mesh.listen to what this machine has free',
      )
    } finally {
      server.close()
    }
  }
}

/** A finding when nobody accepts connections there. Who it is shows only when a node connects. */
async function unreachable(peer: string, signal: AbortSignal): Promise<Finding | undefined> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(CONNECT_LIMIT)])
  const socket = connect(hostAndPort(parsePeerAddress(peer).address))
  try {
    await once(socket, 'connect', { signal: limit })
    return undefined
  } catch (error) {
    return doubtful(
      'PEER_UNREACHABLE',
      `${peer} of mesh.peers: ${limit.aborted ? 'no answer' : errorMessage(error)}`,
      'start the node there and open its mesh port in firewalls between, or take the peer out of mesh.peers',
    )
  } finally {
    socket.destroy()
  }
}

/** Of a multiaddr over TCP. */
function hostAndPort(address: string): { host: string; port: number } {
  const [host, tcp] = multiaddr(address).getComponents()
  return { host: host!.value!, port: Number(tcp!.value) }
}
