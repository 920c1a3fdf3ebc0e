import type { StatsFs } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { errorCode } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

const MEBIBYTE = 1024 * 1024
/** Room for the packs of a few lanes and a merge of small ones, in bytes. */
const NEEDED = 256 * MEBIBYTE
/** A disk this full, of whatever size, fills soon. */
const LOW_SHARE = 0.05
/** And with this much room it does not matter, in bytes. */
const PLENTY = 10 * 1024 * MEBIBYTE

/** Whether there is room for new packages. */
export const diskCheck: Check = { name: 'disk', run }

async function* run({ config, gitDir }: CheckContext): AsyncGenerator<Finding> {
  const path = gitDir ?? resolve(config.store.path)
  const { bavail, blocks, bsize, ffree, files } = await statfsAbove(path)
  const free = bavail * bsize
  const room = `${Math.floor(free / MEBIBYTE)} MiB are free where ${path} is`
  const mend = 'make room there, or move the repository and set store.path'
  if (free < NEEDED) yield broken('DISK_FULL', `${room}: an add may not find room for its packs`, mend)
  else if (free < PLENTY && bavail / blocks < LOW_SHARE) yield doubtful('DISK_LOW', room, mend)
  if (files > 0 && ffree === 0) {
    yield broken('DISK_OUT_OF_INODES', `no more files can be made where ${path} is`, mend)
  }
}

/** Of the nearest folder that exists. */
async function statfsAbove(path: string): Promise<StatsFs> {
  try {
    return await statfs(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
    return await statfsAbove(dirname(path))
  }
}
