import { QuarantineFullError } from '../../store/quarantine/errors.ts'
import { errorCode } from '../../util/errors.ts'

/** The system's codes for a machine that has no room, or lets us write or open no more. */
const CODES: ReadonlySet<string> = new Set([
  ...['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'],
  ...['EMFILE', 'ENFILE', 'ENOMEM'],
])

/** Whether a failure is this machine's, so that it says nothing of the source that something was taken from. */
export function isOwnFailure(error: unknown): boolean {
  return error instanceof QuarantineFullError || CODES.has(errorCode(error))
}
