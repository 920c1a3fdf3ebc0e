import { readFile } from 'node:fs/promises'
import { isSystemError } from './durable-file.ts'

/**
 * When a process was started, in clock ticks since boot, as Linux tells it (`proc(5)`, field 22 of `stat`). Together with
 * the process id it tells a process from a later one with the same id.
 *
 * @returns `undefined` where there is no `/proc`, or no such process
 */
export async function processStartTime(pid: number): Promise<string | undefined> {
  return await readStat(pid, 19)
}

/** Whether a process lives, and is the one that was started then. */
export async function isRunning(pid: number, startTime?: string): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives and is another user's.
    if (!isSystemError(error, 'EPERM')) return false
  }
  // A zombie has ended; its parent has not asked for it yet.
  if ((await readStat(pid, 0)) === 'Z') return false
  const current = startTime === undefined ? undefined : await processStartTime(pid)
  return current === undefined || current === startTime
}

/** A field of `/proc/<pid>/stat`, counted from the one behind the command's name, which may hold anything. */
async function readStat(pid: number, field: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[field]
  } catch {
    return undefined
  }
}
