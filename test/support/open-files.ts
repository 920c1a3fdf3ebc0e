import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Files under a folder that this process has open, deleted ones as well. */
export function openFilesIn(folder: string): string[] {
  const targets: string[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      targets.push(readlinkSync(join('/proc/self/fd', fd)))
    } catch {
      // Closed since the listing: that of the listing itself.
    }
  }
  return targets.filter((target) => target.startsWith(folder))
}
