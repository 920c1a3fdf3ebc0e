import { GachixError } from '../../../util/errors.ts'
import { PktLineError } from '../pkt-line.ts'

/** Characters of a server's message that are passed on. */
export const MAX_SERVER_WORDS = 1000

/** The other side understood the request and refused it, or failed at it. */
export class GitServerError extends GachixError {
  /** What the server said, fit for a terminal and a log. */
  readonly words: string

  constructor(words: string, options?: ErrorOptions) {
    super('ERR_GIT_SERVER', `the Git server says: ${words}`, options)
    this.words = words
  }
}

/** The answer breaks off or does not follow the protocol. */
export class UnexpectedAnswerError extends PktLineError {}

/** The other side speaks Git, but lacks something that we cannot do without. */
export class UnsupportedServerError extends GachixError {
  constructor(message: string) {
    super('ERR_GIT_UNSUPPORTED_SERVER', message)
  }
}

/** A server's text for a message: one line, without control characters, cut to `MAX_SERVER_WORDS`. */
export function serverWords(text: string): string {
  const line = text
    .slice(0, MAX_SERVER_WORDS * 4)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, '')
    .trim()
  return line.length > MAX_SERVER_WORDS ? `${line.slice(0, MAX_SERVER_WORDS)}…` : line || 'nothing'
}
