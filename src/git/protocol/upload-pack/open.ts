import { ObjectDatabase } from '../../object-database.ts'
import { RefStore } from '../../refs/ref-store.ts'
import { Repository } from '../../repository.ts'
import { ServedRepository } from './served-repository.ts'
import { UploadPack } from './upload-pack.ts'

export interface OpenedUploadPack {
  readonly server: UploadPack
  /** Lets the repository go once its readers are done. Idempotent. */
  close(): Promise<void>
}

/**
 * Serves a repository on this machine, bare or not, within this process: for a remote that is a path. It is opened for reading,
 * without its lock, also beside the node that owns it.
 *
 * @param onError told of failures that the client hears of in general terms only
 * @throws NotARepositoryError, UnsupportedRepositoryError, RepositoryPermissionError, PackedRefsError
 */
export async function openUploadPack(
  path: string,
  options: { agent: string; onError: (error: unknown) => void },
): Promise<OpenedUploadPack> {
  const { gitDir, objectsDir } = await Repository.open(path, { readOnly: true })
  const refs = await RefStore.open(gitDir, { readOnly: true })
  try {
    const database = await ObjectDatabase.open(objectsDir, { onProblem: options.onError })
    const repository = new ServedRepository({ gitDir, database, refs, shared: true })
    return {
      server: new UploadPack({ repository, ...options }),
      close: async () => {
        database.close()
        await refs.close()
      },
    }
  } catch (error) {
    await refs.close()
    throw error
  }
}
