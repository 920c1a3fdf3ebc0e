/**
 * Every bound of the mesh's contract, with its reason. Sizes are bytes and times milliseconds unless a name says otherwise. A message
 * beyond one of them is refused before anything of its size is allocated. `SPEC.md` repeats the values.
 */

/** The 160 bits of a store path's hash part: what 32 nix32 characters decode to. */
export const HASH_BYTES = 20
/** A SHA-1 Git object id. */
export const OID_BYTES = 20
/** One change of an inventory: an operation and a hash part. */
export const CHANGE_BYTES = 1 + HASH_BYTES
/** So many first bytes of a hash part stand for it in fingerprints and digests: that is what followers keep. */
export const PREFIX_BYTES = 8
/** XOR of all prefixes: a difference goes unseen once in 2^64. */
export const FINGERPRINT_BYTES = 8
/** An Ed25519 signature. */
export const SIGNATURE_BYTES = 64
/** A SHA-256 digest, at the end of a transfer. */
export const SHA256_BYTES = 32

/** Characters of a network's name: it is part of protocol ids, which libp2p sends often. */
export const MAX_NETWORK_LENGTH = 63
/** A peer id in binary form: an Ed25519 one has 38, one that is a SHA-256 multihash 34. */
export const MAX_PEER_ID_BYTES = 64
/** Integers are exact in JavaScript up to here; no honest counter comes near. */
export const MAX_INTEGER = 2 ** 53 - 1

/** A signed head. Gossip drops messages above 64 KiB without a word; 256 hashes take 5.2 KiB, the rest is room to evolve. */
export const MAX_HEAD_BYTES = 16 * 1024
/** Newest hashes in a head: more are cheaper in the log, because a head travels over many links. */
export const MAX_HEAD_HASHES = 256
/** How far a head's time may lie ahead of the receiver's clock: machines without a working NTP are minutes off. */
export const MAX_CLOCK_SKEW = 10 * 60 * 1000
/** Heads of one peer that are accepted at once, and then one a second: a publisher sends at most one a second. */
export const HEAD_BURST = 20
/** Between two heads of one publisher. */
export const MIN_HEAD_INTERVAL = 1000
/** A head is gossiped at least so often, also when nothing changed: it says that the peer is alive. */
export const MAX_HEAD_INTERVAL = 60 * 60 * 1000

/** A hello: two heads (the sender's, and the newest one of the receiver that it knows) and some texts. */
export const MAX_HELLO_BYTES = 40 * 1024
/** Names of features in a hello. */
export const MAX_FEATURES = 32
/** Characters of a feature's name. */
export const MAX_FEATURE_LENGTH = 32
/** Characters of the text by which a program names itself. */
export const MAX_AGENT_LENGTH = 64

/** Entries of the list of known heads: a mesh is a team's, not the world's. */
export const MAX_KNOWN_HEADS = 1024
/** Heads in one message; most have some hundred bytes. */
export const MAX_HEADS = 64
/** A message about heads: 1,024 entries take 60 KiB, and so many heads as fit beside them. */
export const MAX_HEADS_MESSAGE = 256 * 1024

/** Changes in one page of the log: 84 KiB. */
export const MAX_LOG_PAGE = 4096
/** Hashes in one page of a snapshot: 80 KiB. */
export const MAX_SNAPSHOT_PAGE = 4096
/** Nodes of the digest that one request opens: the answer has 64 bytes for each. */
export const MAX_DIGEST_NODES = 1024
/** Buckets that one request lists. */
export const MAX_DIGEST_BUCKETS = 1024
/** Hashes in one answer about buckets: 80 KiB. A bucket with more cannot be listed. */
export const MAX_BUCKET_HASHES = 4096
/** Children of a node of the digest. */
export const DIGEST_FANOUT = 16
/** Levels below the root: 16^4 = 65,536 buckets. */
export const DIGEST_DEPTH = 4
/** Bytes of a node's value in the digest. */
export const DIGEST_VALUE_BYTES = 4
/** A question or an answer about an inventory: the largest has 84 KiB. */
export const MAX_INVENTORY_MESSAGE = 128 * 1024

/** Hashes in one `have?`: a closure of a usual size in one round trip. */
export const MAX_HAVE_HASHES = 1000
/** A `have?` or its answer: 68 bytes a package. */
export const MAX_HAVE_MESSAGE = 128 * 1024
/** Peers that are asked for one miss, so that it costs a mesh of any size the same. */
export const MAX_HAVE_PEERS = 16

/** Narinfos in one request. */
export const MAX_NARINFOS = 1024
/** One narinfo: the largest known ones, with thousands of references, have 200 KB. */
export const MAX_NARINFO_BYTES = 2 * 1024 * 1024
/** A request for narinfos. */
export const MAX_NARINFO_REQUEST = 32 * 1024
/** One narinfo with what stands around it. */
export const MAX_NARINFO_MESSAGE = MAX_NARINFO_BYTES + 1024

/** Objects that one request wants; a closure with more missing blobs takes several. */
export const MAX_WANTS = 8192
/** Commits that the receiver says it has: the roots of what it has suffice. */
export const MAX_HAVES = 8192
/** A request for a pack: both lists full. */
export const MAX_WANT_MESSAGE = 384 * 1024

/** One frame of a transfer, without its length: below what multiplexers and Noise (64 KiB) carry in one piece. */
export const MAX_FRAME_BYTES = 60 * 1024
/** Data in one frame: what the tag and the length (at most 4 bytes) leave, and some room. */
export const MAX_FRAME_DATA = 60 * 1024 - 16
/** Bytes of data that may be under way unacknowledged: 40 MB/s at 50 ms, and what a slow reader makes us keep. */
export const CREDIT_WINDOW = 2 * 1024 * 1024
/** Characters of the message in an error frame or a refusal: it is for a log. */
export const MAX_REASON_LENGTH = 200
/** Transfers that one peer may run at a time. */
export const MAX_TRANSFERS_PER_PEER = 4

/** Peers in one answer of peer exchange. */
export const MAX_PEER_RECORDS = 32
/** Addresses of one peer: machines have few, and each may be dialled. */
export const MAX_ADDRESSES = 8
/** One binary multiaddr: a DNS name has up to 253. */
export const MAX_ADDRESS_BYTES = 320
/** A message of peer exchange: all records full. */
export const MAX_PEERS_MESSAGE = 96 * 1024

/** From opening a stream to the whole answer of anything that is not a transfer. */
export const REQUEST_TIMEOUT = 10_000
/** Silence in a transfer, while credit is left. */
export const TRANSFER_STALL_TIMEOUT = 15_000
