import { GitServerError } from '../../git/protocol/client/errors.ts'
import { type Greeting, type GreetingV2, readGreeting } from '../../git/protocol/client/greeting.ts'
import { PktLineError } from '../../git/protocol/pkt-line.ts'
import type {
  ConnectContext,
  GitConnection,
  GitTransport,
  VersionRequest,
} from '../../git/transport/connection.ts'
import {
  RemoteProtocolError,
  RemoteRefusedError,
  RemoteUnreachableError,
} from '../../git/transport/errors.ts'
import { errorMessage, GachixError } from '../../util/errors.ts'
import { abortedError } from '../abort.ts'

/** A connection to a server that has introduced itself. */
export interface Conversation<G extends Greeting = Greeting> {
  readonly connection: GitConnection
  readonly greeting: G
}

/** Opens conversations with `git-upload-pack`, in version 2 of the protocol where there is a way to it. */
export class Negotiator {
  readonly #transport: GitTransport
  /** The way that worked last. */
  #known: VersionRequest | undefined

  constructor(transport: GitTransport) {
    this.#transport = transport
  }

  /**
   * An SSH server may drop the variable that asks for version 2 (Debian's does), and answers with all of its refs. Then the
   * variable is set within the command, which takes a shell on the other side; `git-shell` and forges refuse that, but
   * they take the variable, or really know no version 2.
   *
   * @throws GachixError that says why the remote cannot be used
   */
  async open(context: ConnectContext): Promise<Conversation> {
    const known = this.#known
    if (known !== undefined) {
      // Should it fail, the server may have changed: then all ways are tried next time.
      this.#known = undefined
      const conversation = await this.#greet(known, context)
      this.#known = known
      return conversation
    }
    const [announced, inline] = this.#transport.versionRequests
    const first = await this.#greet(announced!, context)
    if (first.greeting.version === 2 || inline === undefined) {
      this.#known = announced
      return first
    }
    await first.connection.close(new Error('another way is tried'))
    const second = await this.#tryInline(inline, context)
    this.#known = second === undefined ? announced : inline
    return second ?? this.#greet(announced!, context)
  }

  async #tryInline(
    request: VersionRequest,
    context: ConnectContext,
  ): Promise<Conversation<GreetingV2> | undefined> {
    try {
      const { connection, greeting } = await this.#greet(request, context)
      if (greeting.version === 2) return { connection, greeting }
      await connection.close(new Error('another way is tried'))
    } catch (error) {
      if (context.signal?.aborted) throw error
    }
    return undefined
  }

  async #greet(request: VersionRequest, context: ConnectContext): Promise<Conversation> {
    const { name } = this.#transport
    const connection = await this.#transport.connect('git-upload-pack', request, context)
    return greet(name, connection, context.signal)
  }
}

/** Reads the greeting of a new connection, which is closed when that fails. @throws GachixError */
export async function greet(
  name: string,
  connection: GitConnection,
  signal: AbortSignal | undefined,
): Promise<Conversation> {
  const release = closeOnAbort(connection, signal)
  try {
    return { connection, greeting: await readGreeting(connection.greeting) }
  } catch (error) {
    await connection.close(new Error('the greeting failed'))
    throw remoteError(name, error, signal)
  } finally {
    release()
  }
}

/** Has the signal end everything that runs on the connection. @returns a function that ends this */
export function closeOnAbort(connection: GitConnection, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {}
  const abort = () => void connection.close(abortedError(signal))
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  return () => signal.removeEventListener('abort', abort)
}

/** What came of a remote as an error that names it. Defects of ours stay what they are. */
export function remoteError(name: string, error: unknown, signal?: AbortSignal): unknown {
  if (signal?.aborted) return abortedError(signal)
  if (error instanceof GitServerError) return new RemoteRefusedError(name, error.words, { cause: error })
  if (error instanceof PktLineError) return new RemoteProtocolError(name, error.message, { cause: error })
  if (error instanceof GachixError || !isSystemFailure(error)) return error
  return new RemoteUnreachableError(name, errorMessage(error), { cause: error })
}

function isSystemFailure(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^E[A-Z]+$/.test(error.code)
  )
}
