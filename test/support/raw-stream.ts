/** What a hostile peer does with a stream. */
import type { Stream } from '@libp2p/interface'
import { CREDIT, delimit, FRAME, MAX_FRAME_DATA } from '../../protocol/index.ts'

export const DATA_FRAME = delimit(FRAME.encode({ data: Buffer.alloc(MAX_FRAME_DATA, 1) }))

/** Sends the same frame until the stream is closed or so many were sent, whatever the credit. */
export async function pour(stream: Stream, frame: Uint8Array, count: number): Promise<void> {
  for (let i = 0; i < count && stream.status === 'open'; i++) {
    try {
      if (!stream.send(frame)) {
        await new Promise<void>((resolve) => {
          stream.addEventListener('drain', () => resolve(), { once: true })
          stream.addEventListener('close', () => resolve(), { once: true })
        })
      }
    } catch {
      return
    }
  }
}

export function grant(stream: Stream, bytes: number): void {
  stream.send(delimit(CREDIT.encode({ bytes })))
}
