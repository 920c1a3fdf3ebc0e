/** What a node says to the thread that takes in packs, and what that one answers. */
import type { FinishedPack } from '../../../git/pack/finish.ts'
import type { PackLimits } from '../../../git/pack/receive.ts'
import type { ReceivedPack } from '../../api.ts'
import type { NarRecipe } from './nar-recipe.ts'

/** Where a pack goes. */
export interface ReceiveTask {
  readonly limits: PackLimits
  readonly tmpDir: string
  readonly packDir: string
  readonly spliceDir: string
  /** The object directory in which bases of deltas are found. */
  readonly objectsDir: string
  /** zlib level of trees and commits that deltas make. */
  readonly level: number
  /** Ids of blobs, in the order in which they should come. */
  readonly order: readonly string[]
}

/** Concerns the pack of that number, or the recipe. */
export type ToReceiver =
  | { readonly kind: 'begin'; readonly id: number; readonly task: ReceiveTask }
  /** The next bytes: the first `length` of the buffer, which comes back. */
  | { readonly kind: 'chunk'; readonly id: number; readonly buffer: ArrayBuffer; readonly length: number }
  | { readonly kind: 'end'; readonly id: number }
  /** The source has failed. */
  | { readonly kind: 'broken'; readonly id: number }
  | { readonly kind: 'abort'; readonly id: number }
  /** A NAR is to be hashed as its blobs come. */
  | { readonly kind: 'expect'; readonly id: number; readonly recipe: NarRecipe }
  | { readonly kind: 'forget'; readonly id: number }

export type FromReceiver =
  /** Bytes have been taken. */
  | { readonly kind: 'taken'; readonly id: number; readonly buffer: ArrayBuffer }
  | { readonly kind: 'pack'; readonly id: number; readonly pack: FinishedPack }
  | { readonly kind: 'received'; readonly id: number; readonly received: ReceivedPack }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'hashed'; readonly id: number; readonly nar: HashedNar }

/** A NAR, all of whose bytes have been seen. */
export interface HashedNar {
  readonly size: number
  readonly sha256: Uint8Array
}

/** An error on its way from one thread to another. */
export interface Failure {
  /** The source had failed, with an error that whoever reads it knows. */
  readonly ofSource: boolean
  readonly code: string | undefined
  readonly message: string
  /** Whether it is one of the errors that gachix knows. */
  readonly known: boolean
}
