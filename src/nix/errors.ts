import { GachixError } from '../util/errors.ts'

/** Text that is not nix32 (Nix's base 32) of whole bytes. */
export class Nix32FormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NIX32_INVALID', message, options)
  }
}

/** Text that is not a hash in one of Nix's forms, or a hash of another algorithm than asked for. */
export class HashFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_HASH_INVALID', message, options)
  }
}

/** Text that is not a store path of the store directory in question. */
export class StorePathError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_STORE_PATH_INVALID', message, options)
  }
}

/** A narinfo that does not follow the format, or lacks a field. */
export class NarInfoFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NARINFO_INVALID', message, options)
  }
}

/** Text or bytes that are no usable signing key. The message never holds key material of a secret key. */
export class KeyFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KEY_INVALID', message, options)
  }
}

/** Text that is not `name:base64` of an Ed25519 signature. */
export class SignatureFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SIGNATURE_INVALID', message, options)
  }
}

/** Text that is not a content address in Nix's form. */
export class ContentAddressFormatError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CONTENT_ADDRESS_INVALID', message, options)
  }
}

/** Bytes that are no canonical NAR. */
export class NarFormatError extends GachixError {
  /** Position in the NAR at which the rule was broken: the first byte of the offending token. */
  readonly offset: number

  constructor(offset: number, rule: string, options?: ErrorOptions) {
    super('ERR_NAR_INVALID', `invalid NAR at offset ${offset}: ${rule}`, options)
    this.offset = offset
  }
}

/** A `nix-cache-info` that does not follow the format. */
export class CacheInfoFormatError extends GachixError {
  constructor(message: string) {
    super('ERR_CACHE_INFO_INVALID', message)
  }
}
