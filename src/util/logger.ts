import pino from 'pino'
import pretty from 'pino-pretty'
import { type Logger, type LogLevel, REDACTED, redactLine } from './log.ts'

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
