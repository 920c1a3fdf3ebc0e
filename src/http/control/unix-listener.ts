import { chmod, lstat, mkdtemp, rename, rm, unlink } from 'node:fs/promises'
import type { RequestListener, Server } from 'node:http'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'

import { errorCode, errorMessage } from '../../util/errors.ts'
import { createServer } from '../../util/http-module.ts'
import { ControlSocketError } from './errors.ts'
import { ensureSocketFolder, MAX_SOCKET_PATH } from './socket-path.ts'

/** A unix socket that only this user may connect to, and that appears and disappears as a whole. */
export class UnixListener {
  readonly #path: string
  readonly #server: Server
  #inode: bigint | undefined

  constructor(path: string, handler: RequestListener) {
    this.#path = path
    this.#server = createServer(handler)
  }

  /**
   * Listens, replacing the socket of a node that has died.
   *
   * @throws ControlSocketError when a process listens there already, something else is in the way, or it cannot be made
   */
  async start(): Promise<void> {
    if (Buffer.byteLength(this.#path) > MAX_SOCKET_PATH) {
      throw new ControlSocketError(this.#path, `its path has more than ${MAX_SOCKET_PATH} bytes`)
    }
    try {
      await ensureSocketFolder(this.#path)
      await refuseLiving(this.#path)
      await this.#bind()
    } catch (cause) {
      if (cause instanceof ControlSocketError) throw cause
      throw new ControlSocketError(this.#path, errorMessage(cause), { cause })
    }
  }

  /** Removes the socket, unless it is another process's by now, and closes all connections. */
  async stop(): Promise<void> {
    if (this.#inode !== undefined && (await inodeOf(this.#path)) === this.#inode) await unlink(this.#path)
    this.#inode = undefined
    if (!this.#server.listening) return
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  /** Binds in a folder that nobody else may enter, so that the socket never has a wider mode than it should. */
  async #bind(): Promise<void> {
    const folder = await mkdtemp(join(dirname(this.#path), '.s'))
    try {
      const socket = join(folder, 's')
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject)
        this.#server.listen(socket, resolve)
      })
      await chmod(socket, 0o600)
      this.#inode = await inodeOf(socket)
      await rename(socket, this.#path)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await lstat(path, { bigint: true })).ino
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** Makes sure that what lies at the path, if anything, is a socket on which nobody listens. */
async function refuseLiving(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (stats === undefined) return
  if (!stats.isSocket())
    throw new ControlSocketError(path, 'something that is no socket lies there; remove it')
  const lives = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(errorCode(error))))
  })
  if (lives) throw new ControlSocketError(path, 'another node listens there; stop it first')
}
