import type { IncomingMessage } from 'node:http'

/** A host name or address with an optional port, and nothing that means something in HTML, a shell or nix.conf. */
const AUTHORITY = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$/

/**
 * The URL under which the client reached this node, for showing it to that client only. Taken from `Host` where that is
 * nothing but a host and a port; otherwise the node's own URL. `X-Forwarded-Proto: https` of a proxy in front counts.
 */
export function publicUrl(req: IncomingMessage, ownUrl: string): string {
  const host = req.headers.host
  if (host === undefined || !AUTHORITY.test(host)) return ownUrl
  const secure = req.headers['x-forwarded-proto'] === 'https'
  return `${secure ? 'https' : 'http'}://${host}`
}
