/** Schemas of what goes over the control socket for `PeerOperations`. */
import * as z from 'zod'
import type { PeerStatus } from '../../peers/mesh/status.ts'
import type {
  AddPeerRequest,
  Invitation,
  MeshIdentity,
  PeerOperations,
  TrustedKey,
  WhoHas,
} from './peer-api.ts'
import { count, path } from './wire.ts'

export const peerStatusSchema = z.object({
  id: z.string().exactOptional(),
  name: z.string().exactOptional(),
  origin: z.enum(['configured', 'added', 'learnt']),
  state: z.enum(['connected', 'connecting', 'waiting', 'banned']),
  addresses: z.array(z.string()),
  latency: z.number().exactOptional(),
  packages: count.exactOptional(),
  bytesIn: count,
  bytesOut: count,
  lastSeen: z.number().exactOptional(),
  failure: z.string().exactOptional(),
  retryAt: z.number().exactOptional(),
  penalty: z.number(),
  offence: z.string().exactOptional(),
  bannedUntil: z.number().exactOptional(),
}) satisfies z.ZodType<PeerStatus>

export const addPeerRequestSchema = z.strictObject({
  address: path,
  name: path.exactOptional(),
  network: path.exactOptional(),
  trust: path.exactOptional(),
}) satisfies z.ZodType<AddPeerRequest>

export const meshIdentitySchema = z.object({
  id: z.string(),
  addresses: z.array(z.string()),
}) satisfies z.ZodType<MeshIdentity>

export const invitationSchema = z.object({
  ...meshIdentitySchema.shape,
  network: z.string(),
  publicKey: z.string(),
  command: z.string(),
}) satisfies z.ZodType<Invitation>

export const whoHasSchema = z.object({
  hash: z.string(),
  here: z.boolean(),
  peers: z.array(z.object({ id: z.string(), name: z.string(), connected: z.boolean() })),
}) satisfies z.ZodType<WhoHas>

export const trustedKeySchema = z.object({
  key: z.string(),
  from: z.enum(['settings', 'added', 'this node']),
}) satisfies z.ZodType<TrustedKey>

/** The operations that take one text, or nothing, and answer at once: each a route of its own name. */
export const PEER_CALLS = [
  'peers',
  'removePeer',
  'pingPeer',
  'meshIdentity',
  'invitation',
  'whoHas',
  'trustedKeys',
  'trust',
  'distrust',
] as const satisfies readonly (keyof PeerOperations)[]

export const PEER_ROUTES = { addPeer: '/v1/add-peer', call: '/v1/mesh' } as const

export const peerCallSchema = z.strictObject({ name: z.enum(PEER_CALLS), text: z.string().max(4096) })
