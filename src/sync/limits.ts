/**
 * Every bound of replication and its reason. Times in milliseconds, sizes in bytes.
 */
import type { PathInfo } from '../nix/path-info.ts'
import type { ReceiveLimits } from '../store/api.ts'

/** Packages of one batch: what is fetched, proven and published together. A crash loses one batch at most. */
export const BATCH_PACKAGES = 512
/** NAR bytes of one batch, unless a single package is larger. */
export const BATCH_BYTES = 128 * 1024 * 1024
/** The same of the first one; each may have twice as much as the one before, so that proving begins early and packs stay few. */
export const FIRST_BATCH_BYTES = 16 * 1024 * 1024

/** Packages that a closure may have: bounds what a source can make us remember. */
export const MAX_CLOSURE_PACKAGES = 1_000_000
/** Packages that are asked about in one request. */
export const PACKAGES_A_REQUEST = 4096
/** Single questions that are under way at one NAR source at once. */
export const QUESTIONS_AT_ONCE = 16
/** NARs that are read from one source at once. */
export const NARS_AT_ONCE = 4

/** Packages that are planned together when everything is pulled; the memory of a plan is some KB a package. */
export const MIRROR_CHUNK = 4096

/** Packages of one push, each two refs: servers change some thousand refs at once in seconds. */
export const PUSH_PACKAGES = 2048
/** NAR bytes of one push, unless a single package is larger. Forges limit what one push may bring. */
export const PUSH_BYTES = 512 * 1024 * 1024

/** Blobs that are wanted in one request: what a peer takes at the most (`protocol/limits.ts`); Git's servers take more. */
export const BLOBS_A_REQUEST = 8_192

/** Time in which a miss is answered, whatever the sources do: Nix clients ask narinfos one after the other. */
export const MISS_BUDGET = 2_000
/** Questions of misses that are under way at one repository at once; what is asked meanwhile goes into the next, together. */
export const QUESTIONS_UNDER_WAY = 2
/** How long a package that no source has is not asked for again. */
export const NEGATIVE_TTL = 60_000
/** The same when a source could not answer. */
export const NEGATIVE_TTL_UNSURE = 3_000
/** Hash parts that are remembered as missing. */
export const NEGATIVE_ENTRIES = 65_536

/** A client that waits for a NAR gets its 404 when nothing has come for so long. */
export const ARRIVAL_STALL = 2_000
/** ... and one of several sources is left for the others when next to nothing has come from it for so long: before that. */
export const SOURCE_PATIENCE = 1_000
/** The same once everything has come: proving and publishing it is our own work. */
export const PUBLISHING_STALL = 30_000
/** What counts as something having come: a source that trickles is as good as dead to whoever waits. */
export const ARRIVAL_PROGRESS_BYTES = 16 * 1024
/** Closures that are pulled at once because clients asked for them. Further ones wait for their turn. */
export const PULLS_AT_ONCE = 4

/** Failures in a row after which a source is not asked on a miss any more. */
export const BREAKER_FAILURES = 3
/** ... and for how long, before one question tries it again. */
export const BREAKER_PAUSE = 15_000

/** Whoever runs `sync` waits so long altogether for sources that were lost on the way, until the next package has come. */
export const COMEBACK_TIME = 20_000
/** The first of these waits; each is twice as long as the one before, */
export const COMEBACK_PAUSE = 500
/** ... up to this. */
export const COMEBACK_LONGEST_PAUSE = 8_000

/** Packages that are announced within this time are pulled together. */
export const FOLLOW_DELAY = 200
/** Packages that are pulled together because peers have announced them. */
export const FOLLOW_CHUNK = 4096
/** After a failure what was announced is tried again in this time, then twice of it, and so on. */
export const FOLLOW_RETRY = 2_000
export const FOLLOW_LONGEST_RETRY = 120_000
/** Between two looks whether there are other peers, while packages wait that nobody could give. */
export const FOLLOW_LOOK = 2_000
/** Packages that wait for a peer that can give them; further ones take the place of those that wait longest. */
export const MAX_POSTPONED = 65_536

/** Until a repository is ready to be asked. In version 0 of Git's protocol it tells all of its refs before. */
export const OPENING_TIME = 300_000
/** A repository that makes us wait so long for `SLOW_BYTES` is given up; one that trickles would hold a pull for ever. */
export const SLOW_TIME = 120_000
/** What has to come in that time. Git's server sends a sign of life of 5 bytes every 5 s while it counts. */
export const SLOW_BYTES = 32 * 1024

/** Connections to one repository that are kept at once. */
export const SESSIONS_PER_SOURCE = 4
/** How long a connection is kept that nobody uses. */
export const SESSION_IDLE = 20_000

/** A node in a NAR takes at least so many bytes of framing, so that its size bounds the number of its nodes. */
const LEAST_NODE_BYTES = 100
/** A narinfo is below this on average in any real batch; a single one may be of `MAX_NARINFO_SIZE`. */
const AVERAGE_NARINFO = 16 * 1024
const LARGEST_NARINFO = 2 * 1024 * 1024
/** Bytes that deflate adds to what it cannot shrink, with the header of the pack entry. */
const ENTRY_OVERHEAD = 64

/** What narinfo blobs may cost, in a pack or by themselves. */
export function narinfoLimits(count: number): ReceiveLimits {
  return limits(count, Math.min(count * LARGEST_NARINFO, count * AVERAGE_NARINFO + 16 * 1024 * 1024))
}

/**
 * What the commits and trees of these packages may cost. A tree's entry is never more than twice as long as the same
 * node's framing in the NAR, escaped names included, and a commit has a line for each reference.
 */
export function treeLimits(infos: readonly PathInfo[]): ReceiveLimits {
  const objects = infos.reduce((sum, info) => sum + nodes(info) + 2, 0)
  return limits(
    objects,
    infos.reduce((sum, info) => sum + 2 * info.narSize + 48 * info.references.length + 1024, 0),
  )
}

/** What the blobs of these packages may cost: their contents are parts of the signed NAR. */
export function blobLimits(infos: readonly PathInfo[]): ReceiveLimits {
  return limits(
    infos.reduce((sum, info) => sum + nodes(info), 0),
    narBytes(infos),
  )
}

/** What everything of these packages may cost together. */
export function packageLimits(infos: readonly PathInfo[]): ReceiveLimits {
  const [trees, blobs] = [treeLimits(infos), blobLimits(infos)]
  return limits(trees.objects + blobs.objects, trees.inflatedBytes + blobs.inflatedBytes)
}

/** Sum of the sizes of the packages' NARs. */
export function narBytes(infos: readonly PathInfo[]): number {
  return infos.reduce((sum, { narSize }) => sum + narSize, 0)
}

function nodes({ narSize }: PathInfo): number {
  return Math.ceil(narSize / LEAST_NODE_BYTES) + 1
}

function limits(objects: number, inflatedBytes: number): ReceiveLimits {
  return {
    objects,
    inflatedBytes,
    packBytes: Math.ceil(inflatedBytes * 1.01) + objects * ENTRY_OVERHEAD + 1024,
  }
}
