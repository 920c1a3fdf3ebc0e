/** What the pool and its workers say to each other. Memory is shared, so that nothing but these few words travels. */

export interface InflateRequest {
  /** Its first `length` bytes are a raw deflate stream. */
  readonly deflated: SharedArrayBuffer
  readonly length: number
  /** Memory for the content, more than `size` bytes. */
  readonly target: SharedArrayBuffer
  /** Bytes that must come out. */
  readonly size: number
}

export interface InflateReply {
  readonly id: number
  /** CRC-32 of the content, or what is wrong with the stream. */
  readonly result: number | string
}
