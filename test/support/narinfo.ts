/** Reading narinfos and hashes in tests, independent of the product's own code. */

const NIX32 = '0123456789abcdfghijklmnpqrsvwxyz'

/** SHA-256 in any of Nix's text forms, as 64 hex digits. */
export function sha256Hex(text: string): string {
  if (text.startsWith('sha256-')) return Buffer.from(text.slice(7), 'base64').toString('hex')
  const digits = text.startsWith('sha256:') ? text.slice(7) : text
  if (/^[0-9a-f]{64}$/.test(digits)) return digits
  if (!/^[01][0-9a-df-np-sv-z]{51}$/.test(digits)) throw new Error(`no SHA-256: ${text}`)
  let number = 0n
  for (const digit of digits) number = number * 32n + BigInt(NIX32.indexOf(digit))
  return Buffer.from(number.toString(16).padStart(64, '0'), 'hex').reverse().toString('hex')
}

/** The 32-character hash part of a store path. */
export function hashPart(path: string): string {
  const found = /^\/nix\/store\/([0-9a-df-np-sv-z]{32})-/.exec(path)
  if (found === null) throw new Error(`no store path: ${path}`)
  return found[1]!
}

/** The fields of a narinfo as they are written; `signatures` holds every `Sig` line. */
export interface Narinfo {
  readonly fields: ReadonlyMap<string, string>
  readonly signatures: readonly string[]
}

/** Reads a narinfo that must hold to the strictest reader: `Key: value` lines only, each ended by a line feed. */
export function parseNarinfo(text: string): Narinfo {
  if (!text.endsWith('\n'))
    throw new Error(`the narinfo does not end in a line feed: ${JSON.stringify(text)}`)
  const fields = new Map<string, string>()
  const signatures: string[] = []
  for (const line of text.slice(0, -1).split('\n')) {
    const found = /^([A-Za-z]+): (.*)$/.exec(line)
    if (found === null || line.includes('\r')) throw new Error(`bad narinfo line ${JSON.stringify(line)}`)
    const [, key, value] = found as unknown as [string, string, string]
    if (key === 'Sig') signatures.push(value)
    else if (fields.has(key)) throw new Error(`${key} is there twice`)
    else fields.set(key, value)
  }
  return { fields, signatures }
}
