/**
 * The contract between nodes, as code: ids, limits, and one codec for each message. `SPEC.md` says what the messages mean. Pure, and
 * without imports from the product, so that another program can take this folder as it is.
 */
export { MessageError } from './errors.ts'
export * from './ids.ts'
export * from './limits.ts'
export * from './messages/have.ts'
export * from './messages/head.ts'
export * from './messages/heads.ts'
export * from './messages/hello.ts'
export * from './messages/inventory.ts'
export * from './messages/narinfos.ts'
export * from './messages/peers.ts'
export * from './messages/refusal.ts'
export * from './messages/transfer.ts'
export * from './messages/want.ts'
export { delimit, MessageSplitter } from './wire/delimited.ts'
export type { Codec } from './wire/kinds.ts'
