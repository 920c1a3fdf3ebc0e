import { setPriority } from 'node:os'

/** How nice a thread is that works behind those that answer. */
const NICENESS = 10

/**
 * Has the calling thread stand back for those that answer requests whenever both want a processor. While none does, it is as
 * fast as before. Only Linux has priorities of threads; elsewhere the whole process would stand back, so nothing is done there.
 */
export function standBack(): void {
  if (process.platform === 'linux') setPriority(NICENESS)
}
