/** A client that fetches a package as Nix does, and trusts nothing: narinfo, then the NAR that it names. */
import { get, type IncomingMessage } from 'node:http'
import { digest } from '../support/cache-client.ts'
import { hashPart, parseNarinfo, sha256Hex } from '../support/narinfo.ts'

export type Fetched =
  | { readonly outcome: 'whole'; readonly narHash: string; readonly bytes: number }
  /** No narinfo. */
  | { readonly outcome: 'absent' }
  /** A narinfo, and no NAR in time. */
  | { readonly outcome: 'late' }

/** An answer that no cache may give. */
export class BadAnswerError extends Error {}

/**
 * @throws BadAnswerError, or what the connection failed of
 */
export async function fetchPackage(base: string, path: string): Promise<Fetched> {
  const { status, text } = await fetchText(`${base}/${hashPart(path)}.narinfo`)
  if (status === 404) return { outcome: 'absent' }
  if (status !== 200) throw new BadAnswerError(`narinfo of ${path}: ${status} ${text}`)
  const { fields } = parseNarinfo(text)
  if (fields.get('StorePath') !== path) throw new BadAnswerError(`narinfo of another path: ${text}`)
  const narHash = sha256Hex(fields.get('NarHash')!)
  const nar = await digest(`${base}/${fields.get('URL')}`, fields.get('Compression') === 'gzip')
  if (nar.status === 404) return { outcome: 'late' }
  if (nar.status !== 200) throw new BadAnswerError(`NAR of ${path}: ${nar.status}`)
  if (nar.narSha256 !== narHash || nar.narSize !== Number(fields.get('NarSize'))) {
    throw new BadAnswerError(`NAR of ${path}: ${nar.narSize} bytes with another hash than the narinfo says`)
  }
  return { outcome: 'whole', narHash, bytes: nar.size }
}

async function fetchText(url: string): Promise<{ status: number; text: string }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, resolve).once('error', reject)
  })
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part)
  return { status: response.statusCode!, text: Buffer.concat(parts).toString() }
}
