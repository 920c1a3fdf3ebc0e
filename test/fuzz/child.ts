/**
 * The process that fuzzes one target, started by `supervise.ts`: takes its orders from the first message, answers with a
 * `LoopResult`. It may hang, run out of memory or die; the supervisor sees to that.
 */
import { openSync } from 'node:fs'
import { fuzzLoop, type LoopOptions, type LoopResult } from './loop.ts'
import { Progress } from './progress.ts'
import { loadTarget } from './targets.ts'

export interface ChildOrder {
  readonly target: string
  /** Its module, where it is none of `targets/`. */
  readonly file?: string
  /** Folder for the target's files. */
  readonly directory: string
  readonly progressFile: string
  readonly options: LoopOptions
}

process.once('message', (order: ChildOrder) => {
  // a target that waits for something that never comes must be found hanging, not end the process for want of work
  const awake = setInterval(() => {}, 60_000)
  obey(order).then(
    (result) => {
      clearInterval(awake)
      process.send?.(result, () => process.disconnect())
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})

async function obey(order: ChildOrder): Promise<LoopResult> {
  const target = await loadTarget(order.target, order.file)
  const progress = new Progress(openSync(order.progressFile, 'w'))
  return fuzzLoop(target, { directory: order.directory }, progress, order.options)
}
