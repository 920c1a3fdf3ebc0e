import { constants, type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode, errorMessage } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { throwIfAborted } from '../abort.ts'
import type { CacheFiles } from './cache-files.ts'
import { UpstreamInvalidError, UpstreamMissingError, UpstreamUnreachableError } from './errors.ts'

/** Bytes that are read from the disk at once. */
const WINDOW = 256 * 1024

/** A binary cache in a folder, as `nix copy --to file://` makes it. */
export class FileCache implements CacheFiles {
  readonly #name: string
  readonly #folder: string

  constructor(name: string, folder: string) {
    this.#name = name
    this.#folder = folder
  }

  async read(name: string, maxSize: number, options: AbortOptions = {}): Promise<Buffer | undefined> {
    const file = await this.#open(name, options)
    if (file === undefined) return undefined
    try {
      const { size } = await file.stat()
      if (size > maxSize) throw new UpstreamInvalidError(this.#name, `${name} has more than ${maxSize} bytes`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  }

  async *open(
    location: string,
    maxSize: number,
    options: AbortOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (location.startsWith('/') || /(^|\/)\.\.(\/|$)/.test(location) || location.includes('\0')) {
      throw new UpstreamInvalidError(
        this.#name,
        `it names a NAR outside of its folder: ${JSON.stringify(location)}`,
      )
    }
    const file = await this.#open(location, options)
    if (file === undefined)
      throw new UpstreamMissingError(this.#name, `it does not have its file ${location}`)
    try {
      for (let position = 0; ; ) {
        throwIfAborted(options.signal)
        const buffer = Buffer.allocUnsafeSlow(WINDOW)
        const { bytesRead } = await file.read(buffer, 0, WINDOW, position)
        if (bytesRead === 0) return
        position += bytesRead
        if (position > maxSize)
          throw new UpstreamInvalidError(this.#name, `${location} has more than ${maxSize} bytes`)
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }

  close(): void {}

  /** Only regular files: others could be without an end, or wait for somebody. */
  async #open(name: string, { signal }: AbortOptions): Promise<FileHandle | undefined> {
    throwIfAborted(signal)
    let file: FileHandle | undefined
    try {
      file = await open(join(this.#folder, name), constants.O_RDONLY | constants.O_NONBLOCK)
      if ((await file.stat()).isFile()) return file
    } catch (cause) {
      if (errorCode(cause) === 'ENOENT') return undefined
      throw new UpstreamUnreachableError(this.#name, `cannot read ${name}: ${errorMessage(cause)}`, { cause })
    }
    await file.close()
    throw new UpstreamInvalidError(this.#name, `${name} is not a regular file`)
  }
}
