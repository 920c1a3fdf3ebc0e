import type { ProcessStatus } from './http/control/api.ts'

/** What this process holds now. Cheap: nothing is collected first. */
export function processStatus(): ProcessStatus {
  const { rss, heapUsed, external } = process.memoryUsage()
  const handles: Record<string, number> = {}
  for (const type of process.getActiveResourcesInfo()) handles[type] = (handles[type] ?? 0) + 1
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
  return { rss, heapUsed, external, handles, listeners }
}
