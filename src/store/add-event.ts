/** Progress of adding packages from a source, in the order of happening: what whoever adds tells whoever watches. */
export type AddEvent =
  /**
   * What there is to do is known: paths and NAR bytes that were looked at, and of these what is missing in the
   * store.
   */
  | {
      readonly type: 'closure'
      readonly paths: number
      readonly bytes: number
      readonly missing: number
      readonly missingBytes: number
    }
  /** A package was stored (verified and written), or was there already. One event for each of the paths. */
  | {
      readonly type: 'package'
      readonly path: string
      readonly narSize: number
      readonly outcome: 'added' | 'present'
    }
  /** NAR bytes read so far, at most some times a second, and once at the end. */
  | { readonly type: 'bytes'; readonly bytes: number }
