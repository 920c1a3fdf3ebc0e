import * as protocol from '../../protocol/index.ts'

/** Every message of the mesh by its name. */
export const MESSAGES: Readonly<Record<string, protocol.Codec<unknown>>> = Object.fromEntries(
  Object.values(protocol)
    .filter((exported) => typeof exported === 'object' && 'decode' in exported)
    .map((codec) => [codec.name, codec as protocol.Codec<unknown>]),
)

/** A message as the vectors write it: bytes in hexadecimal, defaults left out. */
export function plainMessage(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plainMessage)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [name, plainMessage(field)] as const)
  const isDefault = (field: unknown): boolean =>
    field === 0 ||
    field === '' ||
    field === false ||
    field === undefined ||
    (Array.isArray(field) && field.length === 0)
  return Object.fromEntries(fields.filter(([, field]) => !isDefault(field)))
}
