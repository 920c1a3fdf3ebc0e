import { ServedRepository } from '../git/protocol/upload-pack/served-repository.ts'
import { UploadPack } from '../git/protocol/upload-pack/upload-pack.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { VERSION } from '../util/version.ts'
import type { GitService } from './api.ts'

/** Serves the store's repository, with what was published a moment ago. */
export class RepositoryGitService implements GitService {
  readonly #server: UploadPack

  constructor(parts: ConstructorParameters<typeof ServedRepository>[0], onError: (error: unknown) => void) {
    const repository = new ServedRepository(parts)
    this.#server = new UploadPack({ repository, agent: `gachix/${VERSION}`, onError })
  }

  advertise(version: 0 | 1 | 2, options: AbortOptions = {}): AsyncIterable<Uint8Array> {
    return this.#server.advertise(version, options)
  }

  answer(
    request: AsyncIterable<Uint8Array>,
    version: 0 | 1 | 2,
    options: AbortOptions = {},
  ): AsyncIterable<Uint8Array> {
    return this.#server.serve(request, { ...options, version, stateless: true })
  }
}
