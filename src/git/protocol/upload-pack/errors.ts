import { GachixError } from '../../../util/errors.ts'

/** A client asks for what is not there or not served. The message is told to it in an `ERR` packet. */
export class UploadPackError extends GachixError {
  constructor(message: string) {
    super('ERR_GIT_UPLOAD_PACK', message)
  }
}
