import type { PathInfo } from '../../nix/path-info.ts'
import type { SyncEvent } from '../../store/sync-event.ts'
import { narBytes } from '../limits.ts'
import type { Plan } from './plan.ts'

/** Milliseconds between two events about bytes. */
const REPORT_INTERVAL = 200

/** Counts what a pull does, and tells of it. */
export class PullProgress {
  /** Packages fetched, and their NAR bytes. */
  packages = 0
  bytes = 0
  /** Bytes that came over the wire. */
  received = 0
  readonly #onEvent: ((event: SyncEvent) => void) | undefined
  readonly #sources = new Set<string>()
  #told = 0
  #reported = 0

  constructor(onEvent: ((event: SyncEvent) => void) | undefined) {
    this.#onEvent = onEvent
  }

  planned({ missing, present }: Plan): void {
    const infos = missing.map(({ found }) => found.info)
    const bytes = narBytes(infos)
    this.#onEvent?.({
      type: 'closure',
      paths: this.packages + missing.length + present.size,
      bytes: this.bytes + bytes,
      missing: this.packages + missing.length,
      missingBytes: this.bytes + bytes,
    })
  }

  /** Bytes have come from a source. */
  came(source: string, bytes: number): void {
    this.received += bytes
    this.#sources.add(source)
    if (performance.now() - this.#told >= REPORT_INTERVAL) this.report()
  }

  published(info: PathInfo): void {
    this.packages++
    this.bytes += info.narSize
    const path = info.storePath.toString()
    this.#onEvent?.({ type: 'package', path, narSize: info.narSize, outcome: 'added' })
    this.#onEvent?.({ type: 'bytes', bytes: this.bytes })
  }

  failed(source: string, code: string, message: string): void {
    this.#onEvent?.({ type: 'source-failed', source, code, message })
  }

  waiting(sources: readonly string[], milliseconds: number): void {
    this.#onEvent?.({ type: 'waiting', sources, milliseconds })
  }

  /** Tells how much has come, unless that was told. */
  report(): void {
    if (this.received === this.#reported) return
    this.#reported = this.received
    this.#told = performance.now()
    this.#onEvent?.({ type: 'received', bytes: this.received, sources: this.#sources.size })
  }
}
