/**
 * Public keys that an operator has come to trust while the node runs (`gachix peer add --trust`, `gachix trust add`), beside those
 * of the settings. They lie in the Git directory, outside of `gachix/`, as they cannot be made anew.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PublicKey } from './nix/signature.ts'
import { writeFileAtomically } from './util/atomic-file.ts'
import { errorCode, errorMessage, GachixError } from './util/errors.ts'

const FILE = 'gachix-trusted-keys'

/** The file with the trusted keys cannot be read or written. */
export class TrustedKeysError extends GachixError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_TRUSTED_KEYS', message, options)
  }
}

export class TrustedKeys {
  readonly #path: string
  readonly #configured: readonly PublicKey[]
  #added: readonly PublicKey[]

  /**
   * @param configured those of the settings
   * @throws TrustedKeysError when the file cannot be read or has something else in it than keys
   */
  constructor(gitDir: string, configured: readonly PublicKey[]) {
    this.#path = join(gitDir, FILE)
    this.#configured = configured
    this.#added = readKeys(this.#path)
  }

  /** All keys that are trusted now. */
  get all(): readonly PublicKey[] {
    return [...this.#configured, ...this.#added]
  }

  /** Trusts a key for good. @returns whether it was not trusted before */
  async add(key: PublicKey): Promise<boolean> {
    if (this.all.some((known) => known.toString() === key.toString())) return false
    await this.#write([...this.#added, key])
    return true
  }

  /**
   * Trusts a key no more that was added.
   *
   * @param nameOrKey the key, or its name
   * @returns whether there was such a key; those of the settings stay
   */
  async remove(nameOrKey: string): Promise<boolean> {
    const left = this.#added.filter((key) => key.name !== nameOrKey && key.toString() !== nameOrKey)
    if (left.length === this.#added.length) return false
    await this.#write(left)
    return true
  }

  async #write(keys: readonly PublicKey[]): Promise<void> {
    try {
      await writeFileAtomically(this.#path, keys.map((key) => `${key}\n`).join(''), { replace: true })
    } catch (cause) {
      throw new TrustedKeysError(`cannot write ${this.#path}: ${errorMessage(cause)}`, { cause })
    }
    this.#added = keys
  }
}

function readKeys(path: string): PublicKey[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n')
    return lines.filter((line) => line.trim() !== '').map((line) => PublicKey.parse(line))
  } catch (cause) {
    if (errorCode(cause) === 'ENOENT') return []
    throw new TrustedKeysError(`cannot read the trusted keys in ${path}: ${errorMessage(cause)}`, { cause })
  }
}
