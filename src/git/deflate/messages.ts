/** What a worker is started with. */
export interface DeflateWorkerData {
  readonly module: WebAssembly.Module
  /** 1 to 9. */
  readonly level: number
  /** Whether threads that answer requests come first. */
  readonly behind: boolean
}

/** What the pool and its workers say to each other: contents in shared memory, in whose place the chunks come. */
export interface DeflateRequest {
  readonly id: number
  /** Contents, one after the other, and then the chunks. */
  readonly memory: SharedArrayBuffer
  /** Length of each content. */
  readonly lengths: readonly number[]
}

export interface DeflateReply {
  readonly id: number
  /** Per chunk: deflated length, Adler-32, CRC-32 of the content; absent when `error` is there. */
  readonly results?: readonly number[]
  readonly error?: string
}
