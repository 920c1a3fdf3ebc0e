/** The bytes of canonical base 64 (standard alphabet, padded, spare bits zero), or `undefined` for any other text. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}
