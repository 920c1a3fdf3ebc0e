/** Requests to the Git side of a node, made by hand. */
import { type ClientRequest, type IncomingHttpHeaders, request } from 'node:http'
import { DELIM_PKT, encodePkt, FLUSH_PKT } from '../../src/git/protocol/pkt-line.ts'

export interface GitReply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** A version 2 request. */
export function v2Request(command: string, lines: readonly string[]): Buffer {
  const packets = lines.map((line) => encodePkt(`${line}\n`))
  return Buffer.concat([encodePkt(`command=${command}\n`), DELIM_PKT, ...packets, FLUSH_PKT])
}

/**
 * Sends a body to `git-upload-pack`, on a connection of its own. Resolves with the answer, also where the connection is cut before all
 * of the body is sent.
 */
export function postGit(
  url: string,
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  headers: Record<string, string> = {},
): Promise<GitReply> {
  const type = 'application/x-git-upload-pack-request'
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/git-upload-pack`, {
      method: 'POST',
      agent: false,
      // Else the node closes after its answer, and what it has not read can take the answer along.
      headers: { 'Content-Type': type, 'Git-Protocol': 'version=2', Connection: 'keep-alive', ...headers },
    })
    let answered = false
    sent.once('error', (error) => answered || reject(error))
    sent.once('response', async (response) => {
      answered = true
      const chunks: Buffer[] = []
      try {
        for await (const chunk of response) chunks.push(chunk)
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) })
      } catch (error) {
        reject(error)
      } finally {
        sent.destroy()
      }
    })
    void send(async (chunk) => {
      if (sent.destroyed) return false
      if (!sent.write(chunk)) await drained(sent)
      return !sent.destroyed
    }, body).then(() => sent.end())
  })
}

async function send(
  write: (chunk: Uint8Array) => Promise<boolean>,
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of body) if (!(await write(chunk))) return
}

function drained(sent: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      sent.off('drain', settle)
      sent.off('close', settle)
      resolve()
    }
    sent.on('drain', settle)
    sent.on('close', settle)
  })
}
