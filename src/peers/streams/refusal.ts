import { MAX_REASON_LENGTH, REFUSAL_CODES, type Refusal } from '../../../protocol/index.ts'
import { errorMessage } from '../../util/errors.ts'
import { PeerProtocolError, PeerRefusedError } from '../errors.ts'

type Code = keyof typeof REFUSAL_CODES

/** What a handler throws to have the peer told why it gets no answer. `reason` names no package. */
export class Refuse extends Error {
  readonly refusal: Refusal

  constructor(code: Code, reason: string) {
    super(reason)
    this.name = 'Refuse'
    this.refusal = makeRefusal(code, reason)
  }
}

export function makeRefusal(code: Code, reason: string): Refusal {
  return { code: REFUSAL_CODES[code], reason: reason.slice(0, MAX_REASON_LENGTH) }
}

/** What a peer is told when answering it failed: its own fault in words, ours without. */
export function refusalFor(error: unknown): Refusal {
  if (error instanceof Refuse) return error.refusal
  if (error instanceof PeerProtocolError) return makeRefusal('BAD_REQUEST', errorMessage(error))
  return makeRefusal('INTERNAL', 'this node could not answer')
}

/** The error for a refusal that a peer sent. */
export function refusedError(peer: string, { code, reason }: Refusal): PeerRefusedError {
  const [word = 'INTERNAL'] = Object.entries(REFUSAL_CODES).find(([, known]) => known === code) ?? []
  return new PeerRefusedError(`the peer ${peer} refuses (${word}): ${reason}`)
}
