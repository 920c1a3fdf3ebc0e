import { access } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type LockHolder, RepositoryLock } from '../../git/lock.ts'
import { errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

/** Whether the repository's lock is held by somebody living, on this machine. */
export const lockCheck: Check = { name: 'lock', run }

async function* run({ gitDir }: CheckContext): AsyncGenerator<Finding> {
  if (gitDir === undefined) return
  const path = join(gitDir, 'gachix/lock')
  let holder: LockHolder | undefined
  try {
    holder = await RepositoryLock.read(gitDir)
  } catch (error) {
    yield broken('LOCK_UNREADABLE', errorMessage(error), `when no gachix runs on this repository: rm ${path}`)
    return
  }
  if (holder !== undefined && holder.host !== hostname()) {
    yield broken(
      'LOCK_OF_ANOTHER_HOST',
      `process ${holder.pid} on host ${holder.host} has had the repository open since ${holder.since}`,
      `stop it there; when it is gone, or this machine was renamed: rm ${path}`,
    )
    return
  }
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (holder === undefined && exists) {
    yield doubtful(
      'LOCK_LEFT_BEHIND',
      `a process that had the repository open died and left ${path}`,
      'nothing is to be done: the next gachix takes the lock over; see the log for why it died',
    )
  }
}
