/**
 * Where packages are born. A source (`daemon/`: a Nix daemon over a unix socket or any other byte stream; `builder/`: that
 * of another machine through SSH; `upstream/`: a binary cache) is asked what a path refers to (`closure.ts`), and what the
 * store lacks is read and handed to it (`add.ts`). What a NAR holds and whether it is right is the store's business.
 * Nothing of peers, of serving HTTP or of configuration lives here.
 */
export {
  type AddPackagesOptions,
  type AddResult,
  addPackages,
  PackageFailedError,
} from './add.ts'
export { type BuilderSourceInit, type BuilderSourceOptions, createBuilderSource } from './builder/source.ts'
export { BuilderUrlError, parseBuilderUrl } from './builder/url.ts'
export { ClosureInvalidError, PathNotFoundError, type WalkOptions, walkClosure } from './closure.ts'
export { DaemonClient, type DaemonClientOptions, type DaemonPathInfo } from './daemon/client.ts'
export { type Connect, defaultDaemonSocket, unixSocket } from './daemon/connect.ts'
export {
  DaemonError,
  DaemonProtocolError,
  DaemonTimeoutError,
  DaemonUnavailableError,
} from './daemon/errors.ts'
export { DaemonSource, type DaemonSourceInit } from './daemon/source.ts'
export {
  UpstreamError,
  UpstreamInvalidError,
  UpstreamMissingError,
  UpstreamNarError,
  UpstreamStatusError,
  UpstreamTimeoutError,
  UpstreamUnreachableError,
} from './upstream/errors.ts'
export { createUpstreamSource, UpstreamSource, type UpstreamSourceInit } from './upstream/source.ts'
export { parseUpstreamUrl, UpstreamUrlError } from './upstream/url.ts'
