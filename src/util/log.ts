import pino from 'pino'
import pretty from 'pino-pretty'

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

export interface LoggerOptions {
  level?: LogLevel
  /** Lines for people instead of JSON, one object a line. Default: whether standard error is a terminal. */
  pretty?: boolean
  /** Where lines go; default: standard error, so that results on standard output stay clean. */
  destination?: { write(line: string): unknown }
}

/** Fields that are left out of every line wherever they stand at the first or second level. */
const SECRET_FIELDS = [
  'secretKey',
  'privateKey',
  'password',
  'passphrase',
  'token',
  'authorization',
  'cookie',
]

/** `user:password@` of URLs, a user alone before an HTTP host, which is a token as often as not, and base64 of 64 bytes: Nix secret keys (and signatures, which logs can do without). */
const URL_PASSWORD = /(\/\/[^\s/:@"\\]*:)[^\s/@"\\]+@/g
const URL_TOKEN = /(https?:\/\/)[^\s/:@"\\]+@/gi
const KEY_MATERIAL = /(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{86}==/g
const REDACTED = '[redacted]'

/**
 * The node's logger. Lines are written as they happen (a crash loses none); secrets are taken out of fields by name and
 * out of the finished line by form.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const isPretty = options.pretty ?? process.stderr.isTTY === true
  const stderr = options.destination ?? pino.destination({ dest: 2, sync: true })
  const destination = isPretty
    ? pretty({
        destination: stderr as NodeJS.WritableStream,
        colorize: options.destination === undefined && process.stderr.hasColors?.() === true,
        ignore: 'pid,hostname',
        translateTime: 'SYS:HH:MM:ss.l',
        sync: true,
      })
    : stderr
  return pino(
    {
      level: options.level ?? 'info',
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: REDACTED },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: { streamWrite: redactLine },
    },
    destination as pino.DestinationStream,
  )
}

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
