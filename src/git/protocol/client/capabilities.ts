import { VERSION } from '../../../util/version.ts'
import { UnsupportedServerError } from './errors.ts'

/** What a server offers: names and what stands after the `=`, empty where there is none. */
export type Capabilities = ReadonlyMap<string, string>

/** How we call ourselves. */
export const AGENT = `gachix/${VERSION}`

/** Takes one capability, `name` or `name=value`, apart. */
export function parseCapability(text: string): [name: string, value: string] {
  const at = text.indexOf('=')
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

/** @throws UnsupportedServerError when the repository's ids are not SHA-1 */
export function requireSha1(capabilities: Capabilities): void {
  const format = capabilities.get('object-format')
  if (format !== undefined && format !== 'sha1') {
    throw new UnsupportedServerError(
      'the repository does not have SHA-1 object ids; gachix needs one that has (git init --object-format=sha1)',
    )
  }
}
