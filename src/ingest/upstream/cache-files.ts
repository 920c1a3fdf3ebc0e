import type { AbortOptions } from '../../util/lifecycle.ts'

/** The files of a binary cache, wherever it is. */
export interface CacheFiles {
  /**
   * A small file in whole; `undefined` when the cache does not have it.
   *
   * @param name path in the cache
   * @param maxSize bytes that it may have
   * @throws UpstreamError
   */
  read(name: string, maxSize: number, options?: AbortOptions): Promise<Buffer | undefined>

  /**
   * The bytes of the file that a narinfo's `URL` names, in chunks of any size.
   *
   * @param location as it stands in the narinfo
   * @param maxSize bytes that it may have; one more is an error
   * @throws UpstreamError
   */
  open(location: string, maxSize: number, options?: AbortOptions): AsyncIterable<Uint8Array>

  /** Lets connections go; what runs on them fails. */
  close(): void
}
