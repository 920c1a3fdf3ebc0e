import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Watches for the signals that ask a process to end. */
export interface Interruption {
  readonly signal: AbortSignal
  /** Number of the first signal that came. */
  readonly number: number | undefined
}

/** The first signal asks the command to finish cleanly, the second ends the process at once. */
export function watchSignals(): Interruption {
  const controller = new AbortController()
  let number: number | undefined
  for (const name of SIGNALS) {
    process.on(name, () => {
      const current = constants.signals[name]
      if (number !== undefined) process.exit(128 + current)
      number = current
      controller.abort()
    })
  }
  return {
    signal: controller.signal,
    get number() {
      return number
    },
  }
}
