/** The kinds of setting that only the mesh has. */
import * as z from 'zod'
import { isNetworkName } from '../../protocol/index.ts'
import { isListenAddress, isPeerId, parsePeerAddress } from '../peers/address.ts'
import type { Kind } from './values.ts'

export const network: Kind<string> = {
  shape: 'text',
  schema: z.string().refine(isNetworkName),
  expected: 'a name of lower case letters, digits, dots and dashes, at most 63',
}

/** Multiaddrs over TCP without a peer id. */
export const listenAddresses: Kind<readonly string[]> = {
  shape: 'list',
  schema: z.array(z.string().refine(isListenAddress)),
  expected: 'a list of multiaddrs',
  expectedItem: 'a multiaddr over TCP, such as /ip4/0.0.0.0/tcp/4042',
}

export const peerAddresses: Kind<readonly string[]> = {
  shape: 'list',
  schema: z.array(z.string().refine(isPeerAddress)),
  expected: 'a list of addresses of peers',
  expectedItem: 'HOST:PORT, or a multiaddr over TCP such as /ip4/192.0.2.1/tcp/4042/p2p/12D3KooW…',
}

export const peerIds: Kind<readonly string[]> = {
  shape: 'list',
  schema: z.array(z.string().refine(isPeerId)),
  expected: 'a list of peer ids',
  expectedItem: 'a peer id, as gachix peer id prints it',
}

/** A word that stands alone, or a list of patterns of package names. */
function wordOrPatterns<const W extends string>(words: readonly W[]): Kind<W | readonly string[]> {
  const isWord = (text: string): text is W => (words as readonly string[]).includes(text)
  return {
    shape: 'list',
    schema: z
      .preprocess(
        (value) => (typeof value === 'string' ? [value] : value),
        z.array(z.string().regex(/^!?[A-Za-z0-9+\-._?=*]+$/)).min(1),
      )
      .refine((list) => list.length === 1 || !list.some(isWord))
      .transform((list) => (isWord(list[0]!) ? list[0] : list)),
    expected: `${words.join(', ')}, or a list of patterns of package names`,
    expectedItem: 'a pattern of package names (* for any characters, ? for one, ! before it to exclude)',
  }
}

export const syncPolicy = wordOrPatterns(['on-demand', 'mirror'])
export const sharePolicy = wordOrPatterns(['all', 'off'])

function isPeerAddress(text: string): boolean {
  try {
    parsePeerAddress(text)
    return true
  } catch {
    return false
  }
}
