import { SingleBar } from 'cli-progress'
import type { AddEvent } from '../store/add-event.ts'
import { count, formatBytes } from './format.ts'

/** Shows how an `add` gets on. */
export interface Progress {
  event(event: AddEvent): void
  /** Leaves the terminal as it was. Idempotent. */
  end(): void
}

/** A bar on a terminal, one line for each package elsewhere, so that logs stay readable. */
export function addProgress(stream: NodeJS.WriteStream): Progress {
  return stream.isTTY ? barProgress(stream) : lineProgress(stream)
}

function barProgress(stream: NodeJS.WriteStream): Progress {
  let bar: SingleBar | undefined
  let packages = 0
  let missing = 0
  const payload = () => ({ packages: `${packages}/${missing}` })
  return {
    event(event) {
      if (event.type === 'closure') {
        missing = event.missing
        if (missing === 0) return
        bar = new SingleBar({
          stream,
          format: '{bar} {percentage}% | {value} of {total} | {packages} packages | {eta_formatted} left',
          formatValue: (value, _options, type) =>
            type === 'value' || type === 'total' ? formatBytes(value) : String(value),
          hideCursor: true,
          clearOnComplete: true,
          barsize: 30,
          fps: 10,
          gracefulExit: false,
        })
        bar.start(event.missingBytes, 0, payload())
      } else if (event.type === 'bytes') {
        bar?.update(event.bytes, payload())
      } else if (event.outcome === 'added') {
        packages++
        bar?.update(payload())
      }
    },
    end() {
      bar?.stop()
      bar = undefined
    },
  }
}

function lineProgress(stream: NodeJS.WritableStream): Progress {
  let packages = 0
  let missing = 0
  return {
    event(event) {
      if (event.type === 'closure') {
        missing = event.missing
        const present = event.paths - missing
        const rest = present > 0 ? `, ${present} already there` : ''
        stream.write(`${count(missing, 'package')} to add (${formatBytes(event.missingBytes)})${rest}\n`)
      } else if (event.type === 'package' && event.outcome === 'added') {
        packages++
        stream.write(`[${packages}/${missing}] ${event.path} (${formatBytes(event.narSize)})\n`)
      }
    },
    end() {},
  }
}
