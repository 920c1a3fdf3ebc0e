/** The numbers of Nix's worker protocol that a reading client needs. */

export const CLIENT_MAGIC = 0x6e697863
export const SERVER_MAGIC = 0x6478696f

/** Versions are `1.minor`, on the wire `0x100 + minor`. */
export const MAJOR = 1
/** Nix 2.24 to 2.34; newer daemons speak it as well. */
export const NEWEST_MINOR = 38
/** Nix 2.0 had it: the oldest one whose messages have the form that is read here. */
export const OLDEST_MINOR = 21

/** Operations. */
export const OP = {
  isValidPath: 1,
  addTempRoot: 11,
  queryPathInfo: 26,
  queryPathFromHashPart: 29,
  queryValidPaths: 31,
  narFromPath: 38,
} as const

/** Records between a request and its result. */
export const STDERR = {
  next: 0x6f6c6d67,
  startActivity: 0x53545254,
  stopActivity: 0x53544f50,
  result: 0x52534c54,
  last: 0x616c7473,
  error: 0x63787470,
} as const

/** Greatest lengths and counts that are accepted from a daemon. */
export const MAX = {
  /** Bytes of a store path or a hash. */
  path: 4096,
  /** Bytes of a line of log or an error message. */
  message: 256 * 1024,
  /** Bytes of a signature, a content address or a trace. */
  field: 16 * 1024,
  /** Items of a list of references or signatures. */
  list: 100_000,
  /** Traces of an error, fields of a message. */
  parts: 1_000,
  /** Protocol features. */
  features: 1_000,
} as const
