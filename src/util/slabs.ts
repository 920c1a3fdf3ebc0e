/**
 * Has Node cut small buffers from slabs of 8 KiB, as it did before version 24, instead of 64 KiB: whoever keeps a small buffer keeps the whole slab,
 * and what passes beside a few that stay (ids, framing, names) would leave megabytes of them. For the first line of a program or a thread.
 */
Buffer.poolSize = 8 * 1024
