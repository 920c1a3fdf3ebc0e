/**
 * Every bound of the HTTP side and its reason. Times in milliseconds, sizes in bytes.
 */

export interface HttpTimeouts {
  /** Until a request's headers are complete: a slow-loris client loses its connection. */
  readonly headers: number
  /** Until a request is complete with its body. Only Git clients send one that is read. */
  readonly request: number
  /** Between requests. Clients take seconds between a narinfo and the next path. */
  readonly keepAlive: number
  /** Without a byte moving in either direction while we answer. Nix itself gives up after 300 s of nothing. */
  readonly idle: number
  /** For running answers to end when the server stops; then their sockets are destroyed. */
  readonly stop: number
}

export const DEFAULT_TIMEOUTS: HttpTimeouts = {
  headers: 30_000,
  request: 120_000,
  keepAlive: 75_000,
  idle: 300_000,
  stop: 8_000,
}

/** Connections at once, over all clients; a Nix client opens 25 for narinfos. */
export const MAX_CONNECTIONS = 8_192

/** Request line and headers together (Node answers 431 above it). Nix sends some hundred bytes. */
export const MAX_HEADER_SIZE = 16 * 1024

/**
 * Bytes waiting for one client before the body is read no further: two chunks, so that the next is read from disk while
 * one is on its way.
 */
export const WRITE_BUFFER = 512 * 1024

/** `Retry-After` of an overloaded node, seconds. Nix before 2.35 ignores it and retries after 0.3 s and more. */
export const RETRY_AFTER_SECONDS = 2

/** Bytes of rendered narinfos kept in memory; one takes about 1 KiB. */
export const NARINFO_CACHE_SIZE = 32 * 1024 * 1024

/** How long a rendered narinfo is used. The gzip form's id changes when the repository is repacked. */
export const NARINFO_TTL = 60_000

/** The same while the package has no gzip form yet: it gets one soon, and clients keep what they saw for 30 days. */
export const NARINFO_TTL_WITHOUT_GZIP = 1_000

/** Bytes written before other connections get a turn, even when the client reads as fast as we write: a millisecond of work. */
export const FAIR_SHARE = 1024 * 1024

/** zlib level where a gzip body has to be made on the fly: speed before size. */
export const FALLBACK_GZIP_LEVEL = 1

/** Body of a Git request, inflated: some 600,000 wants and haves. A mirror wants every ref at once. */
export const MAX_GIT_REQUEST = 32 * 1024 * 1024

/** Git requests that are answered at once. Each may take 40 bytes of memory for every object of the repository. */
export const MAX_GIT_TRANSFERS = 16

/** Until a miss is answered, also for a package that is on its way and that nobody has signed: then it is a 404. */
export const MISS_ANSWER = 2_300
