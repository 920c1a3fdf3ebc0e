/**
 * Splits a request target into its path segments, each percent-decoded exactly once. A decoded `/` stays inside its
 * segment and so never makes a new one. The query is dropped.
 *
 * @param target - `/a/b?c`, or the absolute form `http://host/a/b` that RFC 9112 makes servers accept
 * @returns the segments (one empty one for `/`), or `undefined` when the target is malformed
 */
export function parseRequestPath(target: string): readonly string[] | undefined {
  const path = target.startsWith('/') ? target : /^https?:\/\/[^/?#]*(\/.*)?$/i.exec(target)?.[1]
  if (path === undefined) return undefined
  const end = path.search(/[?#]/)
  const segments = path.slice(1, end === -1 ? undefined : end).split('/')
  if (!path.includes('%')) return segments
  try {
    return segments.map(decodeURIComponent)
  } catch {
    return undefined
  }
}
