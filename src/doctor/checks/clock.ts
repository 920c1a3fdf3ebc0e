import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ifPresent } from '../../git/durable-file.ts'
import { broken, type Check, type CheckContext, type Finding } from '../finding.ts'

/** No machine on which this version runs has an earlier date. */
const OLDEST_DATE = Date.UTC(2025, 0, 1)
/** By which a file may be newer than now, in milliseconds: file servers have clocks of their own. */
const TOLERANCE = 300_000

/** Whether the clock can be right: it is not before this version was made, nor before files of the repository were. */
export const clockCheck: Check = { name: 'clock', run }

async function* run({ gitDir }: CheckContext): AsyncGenerator<Finding> {
  const now = Date.now()
  const mend = 'set the clock, and keep it right: timedatectl set-ntp true'
  if (now < OLDEST_DATE) {
    yield broken('CLOCK_WRONG', `this machine believes that it is ${new Date(now).toISOString()}`, mend)
    return
  }
  if (gitDir === undefined) return
  const folder = join(gitDir, 'objects/pack')
  for (const name of await readdir(folder).catch(() => [])) {
    const stats = await ifPresent(stat(join(folder, name)))
    if (stats === undefined || stats.mtimeMs <= now + TOLERANCE) continue
    const date = stats.mtime.toISOString()
    yield broken(
      'CLOCK_BEHIND',
      `${join(folder, name)} is of ${date}, and it is earlier now: the clock is behind`,
      mend,
    )
    return
  }
}
