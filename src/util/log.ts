/** From everything to nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** Facts that go with a message, for machines to search by. An `Error` belongs under `err`. */
export type LogFields = Readonly<Record<string, unknown>>

export interface LogMethod {
  (message: string): void
  (fields: LogFields, message: string): void
}

/** What library code needs of a logger; `createLogger` gives one. */
export interface Logger {
  readonly trace: LogMethod
  readonly debug: LogMethod
  readonly info: LogMethod
  readonly warn: LogMethod
  readonly error: LogMethod
  /** A logger that adds the given fields to every message, for instance `{ part: 'http' }`. */
  child(fields: LogFields): Logger
}

/** `user:password@` of URLs, a user alone before an HTTP host, which is a token as often as not, and base64 of 64 bytes: Nix secret keys (and signatures, which logs can do without). */
const URL_PASSWORD = /(\/\/[^\s/:@"\\]*:)[^\s/@"\\]+@/g
const URL_TOKEN = /(https?:\/\/)[^\s/:@"\\]+@/gi
const KEY_MATERIAL = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==/g
/** Stands where a secret was. */
export const REDACTED = '[redacted]'

/** A logger that says nothing. */
export const silentLogger: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
}

function ignore(): void {}

/** Takes passwords in URLs and key material out of a line. */
export function redactLine(line: string): string {
  return line
    .replace(URL_PASSWORD, `$1${REDACTED}@`)
    .replace(URL_TOKEN, `$1${REDACTED}@`)
    .replace(KEY_MATERIAL, REDACTED)
}
