import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ifPresent } from '../../git/durable-file.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

/** Where new files come in a repository; what a command of another user made lies there. */
const FOLDERS = ['.', 'refs', 'objects', 'objects/pack', 'gachix'] as const

/** Whether the repository belongs to one user throughout, and to no others. */
export const permissionsCheck: Check = { name: 'permissions', run }

async function* run({ gitDir }: CheckContext): AsyncGenerator<Finding> {
  if (gitDir === undefined) return
  const { uid, mode } = await stat(gitDir)
  const user = process.getuid?.() ?? uid
  if (user !== uid && user !== 0) {
    yield broken(
      'STORE_OF_ANOTHER_USER',
      `${gitDir} belongs to user ${uid}, and this is user ${user}`,
      `run gachix as that user, or chown -R ${user} ${gitDir}`,
    )
    return
  }
  if ((mode & 0o002) !== 0) {
    yield broken('STORE_WORLD_WRITABLE', `every user may write to ${gitDir}`, `chmod -R o-w ${gitDir}`)
  }
  const strangers = await ownedByOthers(gitDir, uid)
  if (strangers.length > 0) {
    yield broken(
      'STORE_MIXED_OWNERS',
      `${gitDir} belongs to user ${uid}, but not ${strangers.slice(0, 3).join(', ')}${strangers.length > 3 ? ` and ${strangers.length - 3} more` : ''}`,
      `chown -R ${uid} ${gitDir}, and run gachix as one user`,
    )
  }
  if (user === 0 && uid !== 0) {
    yield doubtful(
      'RUN_AS_ROOT',
      `${gitDir} belongs to user ${uid}, and this is root: files that it makes are root's`,
      `run gachix as that user: setpriv --reuid ${uid} --clear-groups gachix …`,
    )
  }
}

async function ownedByOthers(gitDir: string, uid: number): Promise<string[]> {
  const found: string[] = []
  for (const folder of FOLDERS) {
    for (const name of await readdir(join(gitDir, folder)).catch(() => [])) {
      const path = join(gitDir, folder, name)
      const stats = await ifPresent(stat(path))
      if (stats !== undefined && stats.uid !== uid) found.push(path)
    }
  }
  return found
}
