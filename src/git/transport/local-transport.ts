import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { serverWords } from '../protocol/client/errors.ts'
import type { ConnectContext, GitConnection, GitService, GitTransport, VersionRequest } from './connection.ts'
import { RemoteRefusedError, RemoteUnreachableError } from './errors.ts'
import type { FileUrl } from './remote-url.ts'
import { type PipedChild, ProcessStream } from './ssh-stream.ts'
import { StreamConnection } from './stream-connection.ts'

/** A repository on this machine, served by Git's own programs. */
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
    version: VersionRequest,
    context: ConnectContext,
  ): Promise<GitConnection> {
    const folder = await stat(this.#path).catch(() => undefined)
    if (!folder?.isDirectory()) {
      throw new RemoteRefusedError(this.name, 'there is no such folder; is the path of the remote right?')
    }
    const stream = await this.#serve(service, version)
    return new StreamConnection(this.name, stream, context)
  }

  async #serve(service: GitService, version: VersionRequest): Promise<ProcessStream> {
    // It is our own process, so it may leave out blobs whatever the repository's settings say of other people's requests.
    const args = ['-c', 'uploadpack.allowFilter=true', service.slice('git-'.length), '--', this.#path]
    const { GIT_DIR: _, GIT_PROTOCOL: __, ...environment } = process.env
    const child = spawn('git', args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: version === 'none' ? environment : { ...environment, GIT_PROTOCOL: 'version=2' },
      detached: true,
    })
    try {
      await once(child, 'spawn')
    } catch (cause) {
      throw new RemoteUnreachableError(
        this.name,
        'the program git, which serves repositories on this machine, cannot be run; install it',
        { cause },
      )
    }
    const stream: ProcessStream = new ProcessStream(
      child as PipedChild,
      (status) =>
        new RemoteRefusedError(
          this.name,
          `git ${service} ended ${status === 0 ? 'too early' : `with status ${status}`}: ${serverWords(stream.stderr())}`,
        ),
    )
    return stream
  }
}
