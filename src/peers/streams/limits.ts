/** What the streams of peers may cost. Bounds that both sides have to know stand in `protocol/limits.ts`. */
import { MAX_FRAME_DATA } from '../../../protocol/index.ts'

/** Streams of one protocol that one peer may have open here; as many again wait on its side. */
export const MAX_STREAMS_PER_PEER = 8
/** Streams of one protocol that all peers together may have open here. */
export const MAX_STREAMS = 64
/** Packs and lists of narinfos that are sent at once, to all peers together: each costs a walk and some windows. */
export const MAX_TRANSFERS = 16
/** Requests a second that one peer may make in the long run. */
export const REQUESTS_PER_SECOND = 50
/** Requests that one peer may make at once. */
export const REQUEST_BURST = 400
/** Refusals a second that a peer gets before it counts as flooding: who is told to wait must wait. */
export const REFUSALS_PER_SECOND = 10
export const REFUSAL_BURST = 100
/** Peers whose pace is remembered. */
export const MAX_PACES = 1024
/** A full frame of data with what stands before it. */
export const FRAME_SIZE = MAX_FRAME_DATA + 8
/** Full frames that go out with one write: with the multiplexer's header they fit as many messages of Noise. */
const FRAMES_A_WRITE = 4
/** Bytes of one write. */
export const WRITE_SIZE = FRAMES_A_WRITE * FRAME_SIZE
/** Writes whose memory waits to be used again, of all transfers. */
export const FREE_WRITES = 8
/** The receiver of a transfer grants more once it has taken in so much: a quarter of the window. */
export const GRANT_SIZE = 512 * 1024
/** Grants that may still come after the last of the data was sent: those that were under way. */
export const MAX_LATE_GRANTS = 4096
/** Milliseconds over which the pace of a transfer is looked at. */
export const PACE_WINDOW = 30_000
/** Bytes that must come, or be taken, within that time while the other side is waited for: a modem's pace. */
export const PACE_BYTES = 32 * 1024
