import { pipeline, Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip } from 'node:zlib'
import { decodeInThread } from './thread.ts'
import { decodeZstd } from './zstd.ts'

type Decoder = (input: AsyncIterable<Uint8Array>, signal?: AbortSignal) => AsyncIterable<Uint8Array>

/** Nix's words for what compresses a NAR. `lzma`, `lzip`, `lz4` and further ones, which hardly any cache uses, are not there. */
const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['none', (input) => input],
  ['gzip', (input) => through(createGunzip(), input)],
  ['br', (input) => through(createBrotliDecompress(), input)],
  ['zstd', decodeZstd],
  ['xz', (input, signal) => decodeInThread('xz', input, signal)],
  ['bzip2', (input, signal) => decodeInThread('bzip2', input, signal)],
])

/** The compressions that can be read. */
export const COMPRESSIONS: readonly string[] = [...DECODERS.keys()]

/**
 * Undoes a compression, in constant memory: input is taken as output is. The whole input is read, also what follows
 * the end of the compressed data.
 *
 * @param signal ends a wait for a free decoder; once it decodes, what ends it is `input`
 * @throws Error of the decoder, or of `input`; `RangeError` for a compression that is not among `COMPRESSIONS`
 */
export function decompress(
  compression: string,
  input: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  const decoder = DECODERS.get(compression)
  if (decoder === undefined)
    throw new RangeError(`the compression ${JSON.stringify(compression)} is not known`)
  return decoder(input, signal)
}

async function* through(
  decoder: Transform,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  // What breaks the input destroys the decoder with its error, which the loop throws.
  pipeline(Readable.from(input, { objectMode: false }), decoder, () => {})
  yield* decoder as AsyncIterable<Uint8Array>
}
