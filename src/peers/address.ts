/** Addresses of peers as people write them, and as the mesh keeps them: multiaddrs over TCP, with or without peer id. */
import { isIP } from 'node:net'
import { CODE_P2P, type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { base58btc } from 'multiformats/bases/base58'
import { errorMessage } from '../util/errors.ts'
import { PeerAddressError } from './errors.ts'

/** Longest address that is looked at: a host name of 253 characters, a peer id, and what stands between. */
export const MAX_ADDRESS_LENGTH = 512

const OVER_TCP = /^(ip4|ip6|dns|dns4|dns6)\/tcp(\/p2p)?$/
const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/

/** Where a peer can be reached, and who it has to be. */
export interface PeerAddress {
  /** Multiaddr without the peer id, for instance `/ip4/192.0.2.1/tcp/4042`. */
  readonly address: string
  /** Peer id as text; absent when whoever answers is meant. */
  readonly id?: string
}

/**
 * Reads `MULTIADDR` (`/dns4/cache.example/tcp/4042/p2p/12D3…`, the peer id optional) or `HOST:PORT`
 * (`cache.example:4042`, `192.0.2.1:4042`, `[2001:db8::1]:4042`).
 *
 * @throws PeerAddressError
 */
export function parsePeerAddress(text: string): PeerAddress {
  if (text.length > MAX_ADDRESS_LENGTH) throw new PeerAddressError('the address of the peer is too long')
  try {
    return splitPeerId(multiaddr(text.startsWith('/') ? text : hostAndPort(text)))
  } catch (error) {
    if (error instanceof PeerAddressError) throw error
    throw new PeerAddressError(
      `'${text}' is no address of a peer (${errorMessage(error)}); write HOST:PORT or a multiaddr such as /ip4/192.0.2.1/tcp/4042`,
      { cause: error },
    )
  }
}

/** Whether this is a multiaddr over TCP to listen on or to announce: without a peer id, port 0 for a free one. */
export function isListenAddress(text: string): boolean {
  try {
    const names = multiaddr(text.slice(0, MAX_ADDRESS_LENGTH)).getComponents()
    return /^(ip4|ip6|dns|dns4|dns6)\/tcp$/.test(names.map(({ name }) => name).join('/'))
  } catch {
    return false
  }
}

/** First bytes of the id of an Ed25519 key, which is the key itself as a multihash: what nodes and most of libp2p have. */
const ED25519_ID = Buffer.from('002408011220', 'hex')
/** First bytes of the id of any other key: the SHA-256 of 32 bytes as a multihash. */
const HASHED_ID = Buffer.from('1220', 'hex')

/**
 * Whether this is a peer id in base 58. Read here and not by libp2p, whose loading every command would pay for, as the
 * settings are checked by this.
 */
export function isPeerId(text: string): boolean {
  try {
    const bytes = Buffer.from(base58btc.baseDecode(text))
    const prefix = [ED25519_ID, HASHED_ID].find((each) => bytes.subarray(0, each.length).equals(each))
    return prefix !== undefined && bytes.length === prefix.length + 32 && base58btc.baseEncode(bytes) === text
  } catch {
    return false
  }
}

/** The address as a multiaddr that names the peer, where it is known. */
export function formatPeerAddress({ address, id }: PeerAddress): string {
  return id === undefined ? address : `${address}/p2p/${id}`
}

function splitPeerId(full: Multiaddr): PeerAddress {
  const components = full.getComponents()
  const form = components.map(({ name }) => name).join('/')
  if (!OVER_TCP.test(form)) {
    throw new PeerAddressError(
      `${full.toString()} is not reached over TCP alone, which is all that peers speak; write for instance /ip4/192.0.2.1/tcp/4042`,
    )
  }
  if (components.some(({ name, value }) => name === 'tcp' && value === '0')) {
    throw new PeerAddressError(`${full.toString()} names port 0, where nobody can be reached`)
  }
  const id = components.find(({ code }) => code === CODE_P2P)?.value
  if (id === undefined) return { address: full.toString() }
  if (!isPeerId(id))
    throw new PeerAddressError(`${full.toString()} names a peer by something else than its id`)
  return { address: full.decapsulateCode(CODE_P2P).toString(), id }
}

function hostAndPort(text: string): string {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text)
  const [, ipv6, host = ipv6 ?? '', port = ''] = match ?? []
  const version = isIP(host)
  if (match === null || (ipv6 !== undefined && version !== 6) || (version === 0 && !HOST.test(host))) {
    throw new PeerAddressError(
      `'${text}' is no address of a peer; write HOST:PORT or a multiaddr such as /ip4/192.0.2.1/tcp/4042`,
    )
  }
  return `/${version === 0 ? 'dns' : `ip${version}`}/${host}/tcp/${port}`
}
