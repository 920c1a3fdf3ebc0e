import * as z from 'zod'
import type { PeerStatus } from '../../peers/mesh/status.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type {
  AddPeerRequest,
  Invitation,
  MeshIdentity,
  PeerOperations,
  TrustedKey,
  WhoHas,
} from './peer-api.ts'
import {
  invitationSchema,
  meshIdentitySchema,
  type PEER_CALLS,
  PEER_ROUTES,
  peerStatusSchema,
  trustedKeySchema,
  whoHasSchema,
} from './peer-wire.ts'

/** Sends a job to a node and gives its checked result. */
export type SendJob = <T>(
  path: string,
  job: object,
  schema: z.ZodType<T>,
  options: AbortOptions,
) => Promise<T>

/** The part of the control client that is about the mesh. */
export class PeerClient implements PeerOperations {
  readonly #send: SendJob

  constructor(send: SendJob) {
    this.#send = send
  }

  async peers(): Promise<readonly PeerStatus[]> {
    return this.#call('peers', '', z.array(peerStatusSchema))
  }

  async addPeer(request: AddPeerRequest): Promise<PeerStatus> {
    return this.#send(PEER_ROUTES.addPeer, request, peerStatusSchema, {})
  }

  async removePeer(reference: string): Promise<PeerStatus> {
    return this.#call('removePeer', reference, peerStatusSchema)
  }

  async pingPeer(reference: string, options: AbortOptions = {}): Promise<number> {
    return this.#call('pingPeer', reference, z.number(), options)
  }

  async meshIdentity(): Promise<MeshIdentity> {
    return this.#call('meshIdentity', '', meshIdentitySchema)
  }

  async invitation(): Promise<Invitation> {
    return this.#call('invitation', '', invitationSchema)
  }

  async whoHas(target: string, options: AbortOptions = {}): Promise<WhoHas> {
    return this.#call('whoHas', target, whoHasSchema, options)
  }

  async trustedKeys(): Promise<readonly TrustedKey[]> {
    return this.#call('trustedKeys', '', z.array(trustedKeySchema))
  }

  async trust(key: string): Promise<boolean> {
    return this.#call('trust', key, z.boolean())
  }

  async distrust(nameOrKey: string): Promise<boolean> {
    return this.#call('distrust', nameOrKey, z.boolean())
  }

  #call<T>(
    name: (typeof PEER_CALLS)[number],
    text: string,
    schema: z.ZodType<T>,
    options: AbortOptions = {},
  ): Promise<T> {
    return this.#send(PEER_ROUTES.call, { name, text }, schema, options)
  }
}
