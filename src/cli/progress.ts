import { SingleBar } from 'cli-progress'
import type { SyncEvent } from '../store/sync-event.ts'
import { count, formatBytes } from './format.ts'

/** Shows how adding, pulling or pushing gets on. */
export interface Progress {
  event(event: SyncEvent): void
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
  let wire = ''
  /** Shown when the bar is gone: in between it would be drawn over them. */
  const notes: string[] = []
  const payload = () => ({ packages: `${packages}/${missing}`, wire })
  return {
    event(event) {
      if (event.type === 'closure') {
        missing = event.missing
        if (missing === 0) return
        bar?.stop()
        bar = new SingleBar({
          stream,
          format:
            '{bar} {percentage}% | {value} of {total} | {packages} packages{wire} | {eta_formatted} left',
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
      } else if (event.type === 'received') {
        wire = ` | ${formatBytes(event.bytes)} from ${count(event.sources, 'source')}`
        bar?.update(payload())
      } else if (event.type === 'waiting') {
        wire = ` | waiting for ${event.sources.join(', ')}`
        bar?.update(payload())
      } else if (event.type === 'package') {
        if (event.outcome === 'added') packages++
        bar?.update(payload())
      } else notes.push(note(event))
    },
    end() {
      bar?.stop()
      bar = undefined
      for (const text of notes.splice(0)) stream.write(text)
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
      } else if (event.type === 'waiting') {
        stream.write(`trying ${event.sources.join(', ')} again in ${event.milliseconds / 1000} s\n`)
      } else if (event.type === 'skipped' || event.type === 'source-failed') stream.write(note(event))
    },
    end() {},
  }
}

function note(event: Extract<SyncEvent, { type: 'skipped' | 'source-failed' }>): string {
  return event.type === 'skipped'
    ? `left out: ${event.message} [${event.code}]\n`
    : `given up: ${event.message} [${event.code}]\n`
}
