import type { AddEvent } from './add-event.ts'

/** Progress of pulling packages from elsewhere: that of adding, and what goes over the wire. */
export type SyncEvent =
  | AddEvent
  /** Bytes received so far from all sources together, at most some times a second, and once at the end. */
  | { readonly type: 'received'; readonly bytes: number; readonly sources: number }
  /** A package is left out of a mirror, because it may not be trusted or could not be proven. */
  | { readonly type: 'skipped'; readonly path: string; readonly code: string; readonly message: string }
  /** Nobody else has what is missing: the sources that were lost are tried again after so many milliseconds. */
  | { readonly type: 'waiting'; readonly sources: readonly string[]; readonly milliseconds: number }
  /** A source failed and is left out; what it should have given is asked of others. */
  | {
      readonly type: 'source-failed'
      readonly source: string
      readonly code: string
      readonly message: string
    }
