const MAX_QUOTED = 120

/** Untrusted text for an error message: quoted, control characters escaped, cut to a length that suits a log line. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text)
}
