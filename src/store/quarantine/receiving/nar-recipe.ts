import type { Oid } from '../../../git/oid.ts'
import { NarFramer } from '../../../nix/nar/writer.ts'
import type { NarVisitor } from '../../nar-walk.ts'

/** How a NAR is made of blobs: framing, blob, framing, and so on to the last framing. */
export interface NarRecipe {
  /** All framing, one piece after the other. Before each blob it ends with the 8 bytes of its size, which are zero here. */
  readonly framing: Uint8Array
  /** Where each piece ends. */
  readonly ends: Uint32Array
  /** The blobs' ids, 20 bytes each. */
  readonly oids: Uint8Array
  /** Blobs that are there already, by their numbers in the NAR, with their contents. */
  readonly known: ReadonlyMap<number, Uint8Array>
  /** Numbers of the blobs that come but once though more than one place needs them. */
  readonly shared: ReadonlySet<number>
}

/** What building a recipe comes to. */
export interface RecipeDraft {
  readonly framing: Buffer
  readonly ends: Uint32Array
  readonly oids: readonly Oid[]
}

/** Collects a recipe, and each blob once, from a walk over trees whose blobs need not be there. */
export class RecipeBuilder implements NarVisitor {
  readonly blobs = new Set<Oid>()
  readonly #trees = new Set<Oid>()
  readonly #most: number
  /** Has all of the framing; `undefined` once it is given up. */
  #framer: NarFramer | undefined = new NarFramer()
  #ends: number[] = []
  #oids: Oid[] = []
  #depth = 0

  /** @param most bytes of framing; a recipe that would have more is given up */
  constructor(most: number) {
    this.#most = most
    this.#framer?.start()
  }

  /** The recipe, unless it was given up. */
  finish(): RecipeDraft | undefined {
    if (this.#framer === undefined) return undefined
    this.#endPiece(this.#framer)
    if (this.#framer === undefined) return undefined
    return { framing: this.#framer.takeOwn(), ends: Uint32Array.from(this.#ends), oids: this.#oids }
  }

  directoryStart(): void {
    this.#framer?.directoryOpen()
    this.#depth++
  }

  entry(name: Buffer): void {
    this.#framer?.entryOpen(name)
  }

  directoryEnd(): void {
    this.#framer?.directoryClose()
    this.#depth--
    this.#nodeEnd()
  }

  /** Never called: `follows` passes over all links. */
  symlink(): void {}

  file(executable: boolean, oid: Oid): void {
    this.#framer?.fileOpen(executable, 0)
    this.#blob(oid)
    this.#framer?.fileClose(0)
    this.#nodeEnd()
  }

  /** A link's target is in a blob as well, and has its size before it as a file has. */
  follows(oid: Oid): boolean {
    this.#framer?.symlinkOpen(0)
    this.#blob(oid)
    this.#framer?.symlinkClose(0)
    this.#nodeEnd()
    return false
  }

  /** Without a recipe to make, a tree that occurs many times is looked at once, so that no nesting makes the walk endless. */
  enters(oid: Oid): boolean {
    if (this.#framer === undefined && this.#trees.has(oid)) return false
    this.#trees.add(oid)
    return true
  }

  #nodeEnd(): void {
    if (this.#depth > 0) this.#framer?.entryClose()
  }

  #blob(oid: Oid): void {
    this.blobs.add(oid)
    if (this.#framer === undefined) return
    this.#oids.push(oid)
    this.#endPiece(this.#framer)
  }

  #endPiece(framer: NarFramer): void {
    this.#ends.push(framer.length)
    if (framer.length <= this.#most) return
    this.#framer = undefined
    this.#ends = []
    this.#oids = []
  }
}
