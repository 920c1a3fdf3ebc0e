import { GachixError } from '../util/errors.ts'

/** There is no Git repository at the path, and none can be made there. */
export class NotARepositoryError extends GachixError {
  constructor(path: string, reason: string) {
    super('ERR_NOT_A_REPOSITORY', `${path} is not a Git repository: ${reason}`)
  }
}

/** A Git repository in a format that gachix cannot work with. */
export class UnsupportedRepositoryError extends GachixError {
  constructor(gitDir: string, reason: string) {
    super('ERR_UNSUPPORTED_REPOSITORY', `cannot use the repository ${gitDir}: ${reason}`)
  }
}

/** The operating system does not let us read or write the repository. */
export class RepositoryPermissionError extends GachixError {
  constructor(path: string, wanted: 'read' | 'write', options: ErrorOptions) {
    super(
      'ERR_REPOSITORY_PERMISSION',
      `no permission to ${wanted} ${path}. Run gachix as the user who owns the repository, or give this user access to it`,
      options,
    )
  }
}
