/**
 * Whether `Accept-Encoding` names gzip with a weight above 0. `*` and an absent header are not taken for it: Nix 2.8
 * lists nothing and is promised plain bodies only, and nothing is lost by sending a plain one.
 */
export function acceptsGzip(header: string | undefined): boolean {
  if (header === undefined) return false
  for (const item of header.split(',')) {
    const [coding = '', ...parameters] = item.split(';')
    if (coding.trim().toLowerCase() === 'gzip') return parameters.every(hasWeight)
  }
  return false
}

function hasWeight(parameter: string): boolean {
  const match = /^\s*q\s*=\s*(.*?)\s*$/i.exec(parameter)
  if (match === null) return true
  const weight = match[1] ?? ''
  return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) && Number(weight) > 0
}

/** Whether an `If-None-Match` header names the strong `etag` (weak comparison, RFC 9110, section 13.1.2). */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((item) => item.trim().replace(/^W\//, '') === etag)
}

/**
 * Whether a `Range` header still holds under the request's `If-Range` (RFC 9110, section 13.1.5): strong comparison, so
 * a weak tag or a date never matches.
 */
export function rangeHolds(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === etag
}
