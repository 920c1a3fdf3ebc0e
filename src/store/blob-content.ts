import { completeChunks, type Reading } from './reading.ts'

/** Contents up to this size are inflated at once; larger ones stream, off the main thread. */
export const SMALL_CONTENT = 64 * 1024

/** The content of a small file. */
export async function smallContent(reading: Reading, file: number): Promise<Buffer> {
  const { database, plan } = reading
  const size = plan.parts.sizes[file]!
  const { data } = await database.read(plan.oid(file), { maxSize: size })
  return data
}

/** Inflates a large file piece by piece; yields the chunks of the body that become complete. */
export async function* streamContent(
  { database, plan, out, signal }: Reading,
  file: number,
  write: (piece: Buffer) => void,
): AsyncGenerator<Buffer, void> {
  const { chunks } = await database.stream(plan.oid(file), signal === undefined ? {} : { signal })
  for await (const piece of chunks) {
    write(piece)
    yield* completeChunks(out)
    if (out.done) break
  }
}
