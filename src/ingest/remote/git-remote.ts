import type { OnProgress } from '../../git/protocol/client/side-band.ts'
import type { GitTransport, Patience } from '../../git/transport/connection.ts'
import { openTransport } from '../../git/transport/open-transport.ts'
import { parseRemoteUrl } from '../../git/transport/remote-url.ts'
import type { RepositorySource } from '../../store/api.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { Negotiator } from './conversation.ts'
import { type PushRequest, type PushResult, pushTo } from './push.ts'
import { RemoteSession } from './session.ts'

/** Milliseconds until a remote has connected and begins to answer. */
export const FIRST_BYTE_MS = 30_000
/** Milliseconds without a byte in the middle of an answer. Git's servers send something every 5 s while they work. */
export const STALL_MS = 10_000

export interface GitRemoteOptions {
  /** `ssh://[user@]host[:port]/path`, `[user@]host:path`, `http(s)://…`, `file:///…` or a path. */
  readonly url: string
  /** For messages; default: the URL without its password. */
  readonly name?: string
  /** File with the secret SSH key; absent: the agent and what `~/.ssh/config` says. */
  readonly identityFile?: string
  /** The SSH client to run; default `ssh`. */
  readonly sshProgram?: string
  /** How long a silent server is waited for; default `FIRST_BYTE_MS` and `STALL_MS`. */
  readonly patience?: Patience
  /** Told what the server says of its progress, a line at a time. */
  readonly onProgress?: OnProgress
}

/** What `check` found. */
export interface RemoteReport {
  readonly transport: GitTransport['kind']
  /** Version of Git's protocol; 0 sends all refs with each connection. */
  readonly version: 0 | 2
  /** Whether single objects can be fetched; see `RepositorySession`. */
  readonly selective: boolean
  readonly packages: number
  /** Milliseconds until the connection stood and the server had introduced itself. */
  readonly latency: number
  readonly bytesReceived: number
  /** What could be better and how, a sentence each. */
  readonly advice: readonly string[]
}

/** A Git repository elsewhere, in gachix's format; it need not run gachix. */
export interface GitRemote extends RepositorySource {
  /** URL without password. */
  readonly url: string
  open(options?: AbortOptions): Promise<RemoteSession>
  /**
   * Connects and counts what is there.
   *
   * @throws GachixError that says why the remote cannot be used
   */
  check(options?: AbortOptions): Promise<RemoteReport>
  /**
   * Sends a pack and has refs created for what is in it. A ref that has another value there is left alone and reported,
   * unless the request says `force`.
   *
   * @throws GachixError when the remote cannot be reached, takes no pushes, or does not accept the pack
   */
  push(request: PushRequest, options?: AbortOptions): Promise<PushResult>
}

/**
 * A remote by its URL. Nothing is run or connected yet.
 *
 * @throws RemoteUrlError for a URL that is none
 */
export function createGitRemote(options: GitRemoteOptions): GitRemote {
  const { identityFile, sshProgram, patience = { firstByte: FIRST_BYTE_MS, stall: STALL_MS } } = options
  const transport = openTransport(parseRemoteUrl(options.url), {
    ...(identityFile === undefined ? {} : { identityFile }),
    ...(sshProgram === undefined ? {} : { program: sshProgram }),
  })
  const name = options.name ?? transport.name
  const negotiator = new Negotiator(transport)
  const progress = options.onProgress === undefined ? {} : { onProgress: options.onProgress }
  const open = (abort?: AbortOptions) =>
    RemoteSession.open({ name, negotiator, patience, ...progress }, abort)
  return {
    name,
    url: transport.name,
    open,
    check: (abort) => check(transport.kind, open, abort),
    push: (request, abort) => pushTo({ name, transport, patience, ...progress }, request, abort),
  }
}

async function check(
  transport: GitTransport['kind'],
  open: (options?: AbortOptions) => Promise<RemoteSession>,
  options?: AbortOptions,
): Promise<RemoteReport> {
  const start = performance.now()
  const session = await open(options)
  try {
    const latency = performance.now() - start
    let packages = 0
    for await (const _ of session.list(options)) packages++
    const { version, selective, bytesReceived } = session
    const advice = adviceFor(transport, version, selective)
    return { transport, version, selective, packages, latency, bytesReceived, advice }
  } finally {
    await session.close()
  }
}

function adviceFor(transport: GitTransport['kind'], version: 0 | 2, selective: boolean): string[] {
  const advice: string[] = []
  if (version === 0) {
    advice.push(
      `the server sends all of its refs with each connection, because version 2 of Git's protocol ${VERSION_2_ADVICE[transport]}`,
    )
  }
  if (!selective) {
    advice.push(
      `files that this node has are sent again, because the server does not leave out blobs: in its repository, git config uploadpack.allowFilter true${
        version === 0 ? ' and uploadpack.allowAnySHA1InWant true' : ''
      }`,
    )
  }
  return advice
}

const VERSION_2_ADVICE = {
  ssh: 'does not get through: sshd_config there should have AcceptEnv GIT_PROTOCOL, and Git be newer than 2.18',
  http: 'does not get through: the web server there should hand the header Git-Protocol on to Git as GIT_PROTOCOL',
  file: 'is unknown to the program git here: it should be newer than 2.18',
} as const
