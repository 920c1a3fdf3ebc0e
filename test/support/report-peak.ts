/**
 * To be loaded into a process of ours with `--import`: writes the process's peak resident memory to the file that
 * `GACHIX_TEST_PEAK_FILE` names, when it ends. The figure is the kernel's, of all threads together.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env.GACHIX_TEST_PEAK_FILE
if (isMainThread && file !== undefined) {
  process.on('exit', () => writeFileSync(file, peakOf(readFileSync('/proc/self/status', 'utf8'))))
}

function peakOf(status: string): string {
  return /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? ''
}
