/** Names by which nodes of one network find each other's protocols. */
import { MessageError } from './errors.ts'
import { MAX_NETWORK_LENGTH } from './limits.ts'

/** The protocols that run on streams, by the part of their id after the network. */
export const PROTOCOLS = ['hello', 'heads', 'inventory', 'have', 'narinfos', 'pack', 'peers'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** Version of every protocol here: the last part of its id. A change that old nodes cannot skip gets the next number. */
export const PROTOCOL_VERSION = 1

const NETWORK = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/

/** Whether a network may be called so: lower-case letters, digits, dots and dashes, at most 63, no dot or dash at an end. */
export function isNetworkName(name: string): boolean {
  return name.length <= MAX_NETWORK_LENGTH && NETWORK.test(name)
}

/** Id of a protocol on streams, for instance `/gachix/team/pack/1`. @throws MessageError for a faulty network name */
export function protocolId(network: string, protocol: Protocol): string {
  return `/gachix/${checkNetwork(network)}/${protocol}/${PROTOCOL_VERSION}`
}

/** The gossip topic for heads. @throws MessageError for a faulty network name */
export function headsTopic(network: string): string {
  return `/gachix/${checkNetwork(network)}/heads/${PROTOCOL_VERSION}`
}

/** @throws MessageError */
export function checkNetwork(network: string): string {
  if (!isNetworkName(network)) throw new MessageError('network', 'is not a network name')
  return network
}
