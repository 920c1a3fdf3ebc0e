/** What the pool and its workers say to each other: several chunks in one transferred buffer, both ways. */
export interface DeflateRequest {
  readonly id: number
  readonly level: number
  /** Dictionaries and contents, one after the other. */
  readonly bytes: ArrayBuffer
  /** Per chunk: length of its dictionary, length of dictionary and content together. */
  readonly lengths: readonly number[]
}

export interface DeflateReply {
  readonly id: number
  /** The deflated chunks, one after the other; absent when `error` is there. */
  readonly bytes?: ArrayBuffer
  /** Per chunk: deflated length, Adler-32, CRC-32 of the content. */
  readonly results?: readonly number[]
  readonly error?: string
}
