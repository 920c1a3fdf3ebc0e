import { fileURLToPath } from 'node:url'
import { GachixError } from '../../util/errors.ts'

/** A text is not the URL of a Nix binary cache that can be read. */
export class UpstreamUrlError extends GachixError {
  constructor(reason: string) {
    super('ERR_UPSTREAM_URL', `not the URL of a binary cache: ${reason}; it is https://, http:// or file:///`)
  }
}

/** Where a binary cache is. */
export type UpstreamAddress =
  | {
      readonly kind: 'http'
      /** With a slash at its end, without credentials. */
      readonly base: URL
      /** Value of the header `Authorization`, for requests to `base.origin` only. */
      readonly authorization?: string
    }
  | { readonly kind: 'file'; readonly folder: string }

/**
 * Takes the URL of a binary cache apart. Credentials in it become a header and are nowhere else.
 *
 * @throws UpstreamUrlError whose message does not repeat the URL
 */
export function parseUpstreamUrl(text: string): UpstreamAddress {
  const url = /[\u0000-\u0020\u007f]/.test(text) ? null : URL.parse(text)
  if (url === null) throw new UpstreamUrlError('it cannot be read as a URL')
  if (url.search !== '' || url.hash !== '')
    throw new UpstreamUrlError('it takes no parameters and no fragment')
  if (url.protocol === 'file:') return { kind: 'file', folder: folderOf(url) }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new UpstreamUrlError(`${url.protocol} is not known`)
  const { username, password } = url
  const base = new URL(url)
  base.username = ''
  base.password = ''
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  if (username === '' && password === '') return { kind: 'http', base }
  return { kind: 'http', base, authorization: basic(username, password) }
}

function folderOf(url: URL): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw new UpstreamUrlError(`it is no file of this machine (${String(cause)})`)
  }
}

function basic(username: string, password: string): string {
  try {
    const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return `Basic ${Buffer.from(plain).toString('base64')}`
  } catch {
    throw new UpstreamUrlError('user or password has a percent sign that encodes nothing')
  }
}
