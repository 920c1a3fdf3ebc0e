import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { serverWords } from '../protocol/client/errors.ts'
import type { ConnectContext, GitConnection, GitService, GitTransport, VersionRequest } from './connection.ts'
import { RemoteRefusedError, RemoteUnreachableError } from './errors.ts'
import { InProcessConnection } from './in-process-connection.ts'
import type { FileUrl } from './remote-url.ts'
import { type PipedChild, ProcessStream } from './ssh-stream.ts'
import { StreamConnection } from './stream-connection.ts'

/** A repository on this machine: fetched from within this process, and pushed to through Git's own program. */
export class LocalTransport implements GitTransport {
  readonly kind = 'file'
  readonly name: string
  readonly versionRequests = ['announced'] as const
  readonly #path: string

  constructor(url: FileUrl) {
    this.name = url.display
    this.#path = url.path
  }

  async connect(
    service: GitService,
    _version: VersionRequest,
    context: ConnectContext,
  ): Promise<GitConnection> {
    const folder = await stat(this.#path).catch(() => undefined)
    if (!folder?.isDirectory()) {
      throw new RemoteRefusedError(this.name, 'there is no such folder; is the path of the remote right?')
    }
    if (service === 'git-upload-pack') return InProcessConnection.open(this.name, this.#path, context)
    return new StreamConnection(this.name, await this.#receivePack(), context)
  }

  async #receivePack(): Promise<ProcessStream> {
    const { GIT_DIR: _, GIT_PROTOCOL: __, ...env } = process.env
    const child = spawn('git', ['receive-pack', '--', this.#path], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env,
      detached: true,
    })
    try {
      await once(child, 'spawn')
    } catch (cause) {
      const reason = 'the program git, which takes in what is pushed, cannot be run; install it'
      throw new RemoteUnreachableError(this.name, reason, { cause })
    }
    const stream: ProcessStream = new ProcessStream(child as PipedChild, (status) => {
      const end = status === 0 ? 'too early' : `with status ${status}`
      return new RemoteRefusedError(
        this.name,
        `git receive-pack ended ${end}: ${serverWords(stream.stderr())}`,
      )
    })
    return stream
  }
}
