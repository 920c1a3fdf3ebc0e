import { createHash, type Hash } from 'node:crypto'
import { OID_BYTES, type Oid, oidFromBytes } from '../../../git/oid.ts'
import type { BlobObserver } from '../../../git/pack/receive.ts'
import { ownCopy } from '../../../util/own-copy.ts'
import { release } from '../../../util/release.ts'
import type { HashedNar } from './messages.ts'
import type { NarRecipe } from './nar-recipe.ts'

/** Small pieces are collected to so many bytes before they are hashed: a call costs as much as hashing some hundred. */
const STAGE_BYTES = 64 * 1024
/** From this size on a piece is hashed as it is. */
const LARGE_PIECE = 16 * 1024
/** Bytes before each blob that say its size. */
const SIZE_BYTES = 8
const PADDING = Buffer.alloc(8)
const TWO_POW_32 = 2 ** 32
/** Blobs that are needed again are kept up to this size, and so many bytes of them in all, until nobody needs them. */
const KEPT_BLOB = 4 * 1024 * 1024
const KEPT_BYTES = 8 * 1024 * 1024

/**
 * Hashes NARs while the blobs that they are made of come in. A NAR whose blobs come in its own order is hashed when the last one
 * is there. One that has to wait for something that came before its turn is never done; whoever wants to know reads it from the
 * packs.
 */
export class ExpectedNars {
  readonly #onHashed: (id: number, nar: HashedNar) => void
  readonly #all = new Map<number, OpenNar>()
  /** By the blob that each waits for. */
  readonly #waiting = new Map<Oid, Set<OpenNar>>()
  /** Blobs that more than one place needs, and how many places there are that still do. */
  readonly #shared = new Map<Oid, number>()
  /** Those of them that have come. */
  readonly #kept = new Map<Oid, Buffer>()
  #keptBytes = 0
  readonly #stage = new Stage()

  /** @param onHashed told of a NAR that is done */
  constructor(onHashed: (id: number, nar: HashedNar) => void) {
    this.#onHashed = onHashed
  }

  /** From now on the NAR is hashed. */
  expect(id: number, recipe: NarRecipe): void {
    for (const number of recipe.shared) {
      const oid = oidFromBytes(recipe.oids, number * OID_BYTES)
      this.#shared.set(oid, (this.#shared.get(oid) ?? 0) + 1)
    }
    const nar = new OpenNar(id, recipe, this.#stage, (number) => this.#passed(recipe, number))
    this.#all.set(id, nar)
    this.#goOn(nar)
  }

  /** The NAR is not wanted any more. */
  forget(id: number): void {
    const nar = this.#all.get(id)
    if (nar === undefined) return
    this.#leave(nar)
    this.#drop(nar)
  }

  /** Takes the blobs of one pack. @param order ids of blobs, as they should come */
  observer(order: readonly Oid[]): BlobObserver {
    let number = 0
    let guess: Oid | undefined
    let guesses: Guess[] = []
    let copy: Buffer | undefined
    let copied = 0
    return {
      blob: (oid, content) => {
        number++
        this.#blob(oid, content)
      },
      begin: (size) => {
        guess = order[number++]
        const waiting = guess === undefined ? undefined : this.#waiting.get(guess)
        guesses = waiting === undefined ? [] : [...waiting].map((nar) => nar.guess(size))
        const keep = guess !== undefined && this.#mayKeep(guess, size, guesses.length)
        copy = keep ? Buffer.allocUnsafeSlow(size) : undefined
        copied = 0
      },
      content: (bytes) => {
        for (const { hash } of guesses) hash.update(bytes)
        if (copy !== undefined) copied += bytes.copy(copy, copied)
      },
      end: (oid) => {
        if (oid !== guess) return
        if (copy !== undefined && this.#mayKeep(oid, copy.length)) this.#keep(oid, copy)
        copy = undefined
        for (const each of guesses) {
          // Nobody may want the NAR any more, and another pack may have had the same blob meanwhile.
          if (this.#all.get(each.nar.id) !== each.nar || each.number !== each.nar.number) continue
          this.#leave(each.nar)
          each.nar.settle(each)
          this.#goOn(each.nar)
        }
      },
    }
  }

  #blob(oid: Oid, content: Buffer): void {
    const waiting = this.#waiting.get(oid)
    if (waiting !== undefined) {
      this.#waiting.delete(oid)
      for (const nar of waiting) nar.add(content)
    }
    if (this.#mayKeep(oid, content.length)) this.#keep(oid, ownCopy([content]))
    for (const nar of waiting ?? []) this.#goOn(nar)
  }

  /** Whether a blob of that size is needed by more than so many places, and there is room for it. */
  #mayKeep(oid: Oid, size: number, places = 0): boolean {
    if ((this.#shared.get(oid) ?? 0) <= places || this.#kept.has(oid)) return false
    return size <= KEPT_BLOB && this.#keptBytes + size <= KEPT_BYTES
  }

  #keep(oid: Oid, content: Buffer): void {
    this.#kept.set(oid, content)
    this.#keptBytes += content.length
  }

  /** Lets a blob go that no place needs any more. */
  #passed({ oids, shared }: NarRecipe, number: number): void {
    if (!shared.has(number)) return
    const oid = oidFromBytes(oids, number * OID_BYTES)
    const left = this.#shared.get(oid)! - 1
    if (left > 0) {
      this.#shared.set(oid, left)
      return
    }
    this.#shared.delete(oid)
    const kept = this.#kept.get(oid)
    if (kept === undefined) return
    this.#kept.delete(oid)
    this.#keptBytes -= kept.length
    release(kept)
  }

  #drop(nar: OpenNar): void {
    this.#all.delete(nar.id)
    nar.close()
  }

  /** Adds what is there, to the next blob that is not. */
  #goOn(nar: OpenNar): void {
    for (let oid = nar.next(); oid !== undefined; oid = nar.next()) {
      const kept = this.#kept.get(oid)
      if (kept === undefined) {
        const waiting = this.#waiting.get(oid)
        if (waiting === undefined) this.#waiting.set(oid, new Set([nar]))
        else waiting.add(nar)
        return
      }
      nar.add(kept)
    }
    const hashed = nar.finish()
    this.#drop(nar)
    this.#onHashed(nar.id, hashed)
  }

  #leave(nar: OpenNar): void {
    const oid = nar.waitsFor
    const waiting = oid === undefined ? undefined : this.#waiting.get(oid)
    if (oid === undefined || !waiting?.delete(nar)) return
    if (waiting.size === 0) this.#waiting.delete(oid)
  }
}

/** What the hash will be, if the blob that is coming is the one that is waited for. */
interface Guess {
  readonly nar: OpenNar
  /** Number of that blob in the NAR. */
  readonly number: number
  readonly hash: Hash
  readonly size: number
}

/** A NAR as far as its blobs have come. */
class OpenNar {
  readonly id: number
  readonly #recipe: NarRecipe
  #hash = createHash('sha256')
  /** Number of the blob that is next. */
  number = 0
  #size = 0
  readonly #stage: Stage
  readonly #onPassed: (number: number) => void
  /** The blob that it has to have before it can go on. */
  waitsFor: Oid | undefined

  /** @param onPassed told of each blob, by its number, once it is not needed for this NAR any more */
  constructor(id: number, recipe: NarRecipe, stage: Stage, onPassed: (number: number) => void) {
    this.id = id
    this.#recipe = recipe
    this.#stage = stage
    this.#onPassed = onPassed
    this.#add(this.#framing(0))
  }

  /** Adds blobs that were there before; gives the id of the next one that was not, if there is one. */
  next(): Oid | undefined {
    const { oids, known } = this.#recipe
    for (let content = known.get(this.number); content !== undefined; content = known.get(this.number)) {
      this.add(Buffer.from(content.buffer, content.byteOffset, content.length))
    }
    const at = this.number * OID_BYTES
    this.waitsFor = at < oids.length ? oidFromBytes(oids, at) : undefined
    return this.waitsFor
  }

  /** Adds the next blob. */
  add(content: Buffer): void {
    this.#add(sizeBytes(content.length))
    this.#add(content)
    this.#close(content.length)
  }

  /** Begins a hash with the next blob in it, of which only the size is known. */
  guess(size: number): Guess {
    this.#stage.flush()
    const hash = this.#hash.copy()
    hash.update(sizeBytes(size))
    return { nar: this, number: this.number, hash, size }
  }

  /** The guess was right. */
  settle({ hash, size }: Guess): void {
    this.#hash = hash
    this.#size += SIZE_BYTES + size
    this.#close(size)
  }

  finish(): HashedNar {
    this.#stage.flush()
    return { size: this.#size, sha256: this.#hash.digest() }
  }

  /** It is done, or given up: gives its memory back. */
  close(): void {
    const { framing, ends, oids, known } = this.#recipe
    for (; this.number < ends.length - 1; this.number++) this.#onPassed(this.number)
    for (const part of [framing, oids, ...known.values()]) release(part)
  }

  #close(size: number): void {
    this.#add(PADDING.subarray(0, (8 - (size % 8)) % 8))
    this.#onPassed(this.number)
    this.number++
    this.#add(this.#framing(this.number))
  }

  /** The piece of framing before the blob of that number, without the size in which it ends. */
  #framing(number: number): Uint8Array {
    const { framing, ends } = this.#recipe
    const isLast = number === ends.length - 1
    return framing.subarray(number === 0 ? 0 : ends[number - 1], ends[number]! - (isLast ? 0 : SIZE_BYTES))
  }

  #add(bytes: Uint8Array): void {
    this.#size += bytes.length
    this.#stage.add(this.#hash, bytes)
  }
}

/** What is to be hashed next, of one NAR at a time. */
class Stage {
  readonly #buffer = Buffer.allocUnsafeSlow(STAGE_BYTES)
  #used = 0
  #hash: Hash | undefined

  add(hash: Hash, bytes: Uint8Array): void {
    if (hash !== this.#hash || this.#used + bytes.length > STAGE_BYTES) this.flush()
    if (bytes.length >= LARGE_PIECE) {
      this.flush()
      hash.update(bytes)
      return
    }
    this.#hash = hash
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
  }

  flush(): void {
    if (this.#used > 0) this.#hash?.update(this.#buffer.subarray(0, this.#used))
    this.#used = 0
  }
}

function sizeBytes(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(SIZE_BYTES)
  const low = size % TWO_POW_32
  bytes.writeUInt32LE(low, 0)
  bytes.writeUInt32LE((size - low) / TWO_POW_32, 4)
  return bytes
}
