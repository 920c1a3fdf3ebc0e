import type { Pack } from '../git/pack/pack.ts'
import type { PackRead, PackReads } from '../git/pack/pack-reads.ts'
import type { ChunkPool } from '../util/chunk-pool.ts'

/** Stretches from this length on are read straight to where they belong. */
const DIRECT_READ = 32 * 1024
/** Bytes between two stretches that are read along: another read costs more. */
const LARGEST_GAP = 4 * 1024
/** Stretches that may wait for one reading. */
const MAX_STRETCHES = 4096

/** Neighbouring stretches of a pack that are read together. */
interface Run {
  readonly pack: Pack
  readonly start: number
  end: number
  /** Where they come to lie in the scratch memory. */
  at: number
}

/**
 * Reads many short stretches of packs, with few reads. The blobs of a package lie one after the other in a pack, or with others
 * between them in some packs. So stretches that follow closely are read in one go, each pack for itself, and
 * copied to their places. All packs are held open from when they are asked for until the reading is done.
 */
export class PackGather {
  readonly #pool: ChunkPool
  readonly #reads: PackReads
  readonly #held = new Set<Pack>()
  /** The run of each pack that the next stretch may continue. */
  readonly #open = new Map<Pack, Run>()
  readonly #runs: Run[] = []
  readonly #direct: PackRead[] = []
  /** Bytes of all runs. */
  #size = 0
  // Of each stretch: its run, its position in the pack, where it goes, and how long it is.
  readonly #runOf: Run[] = []
  readonly #positions: number[] = []
  readonly #targets: Buffer[] = []
  readonly #ats: number[] = []
  readonly #lengths: number[] = []
  // Bytes that are changed once they are there.
  readonly #patches: { readonly target: Buffer; readonly at: number; readonly mask: number }[] = []

  /** @param pool whose chunks are used as scratch memory; `DIRECT_READ` and more in size */
  constructor(pool: ChunkPool, reads: PackReads) {
    this.#pool = pool
    this.#reads = reads
  }

  /** Whether nothing waits to be read. */
  get empty(): boolean {
    return this.#lengths.length === 0 && this.#direct.length === 0
  }

  /** Keeps a pack open until the next reading is done. @throws PackGoneError */
  hold(pack: Pack): void {
    if (this.#held.has(pack)) return
    pack.retain()
    this.#held.add(pack)
  }

  /** Whether a stretch has room. When it has none, what waits is to be read first. */
  fits(length: number): boolean {
    // A long one may be cut where a chunk ends, so there must be room for the longest that is not read directly.
    const size = this.#size + Math.min(length, DIRECT_READ) + LARGEST_GAP
    return size <= this.#pool.size && this.#lengths.length + this.#direct.length < MAX_STRETCHES
  }

  /** Asks for `length` bytes at `position` of a pack that is held, to be put at `at` of `target`. They must fit. */
  add(pack: Pack, position: number, length: number, target: Buffer, at: number): void {
    if (length === 0) return
    if (length >= DIRECT_READ) {
      this.#direct.push({ pack, position, target: target.subarray(at, at + length) })
      return
    }
    const end = position + length
    let run = this.#open.get(pack)
    if (run === undefined || position < run.start || position > run.end + LARGEST_GAP) {
      run = { pack, start: position, end: position, at: 0 }
      this.#open.set(pack, run)
      this.#runs.push(run)
    }
    if (end > run.end) {
      this.#size += end - run.end
      run.end = end
    }
    this.#runOf.push(run)
    this.#positions.push(position)
    this.#targets.push(target)
    this.#ats.push(at)
    this.#lengths.push(length)
  }

  /** Has a byte ANDed with `mask` once it is there. */
  patch(target: Buffer, at: number, mask: number): void {
    this.#patches.push({ target, at, mask })
  }

  /**
   * Reads all that was asked for.
   *
   * @throws CorruptPackError when a pack ends too early; the file system's errors
   */
  async read(): Promise<void> {
    if (this.empty) return
    const scratch = this.#runs.length > 0 ? this.#pool.take() : undefined
    try {
      await this.#reads.read(scratch === undefined ? this.#direct : this.#allReads(scratch))
      if (scratch !== undefined) this.#deal(scratch)
      for (const { target, at, mask } of this.#patches) target[at]! &= mask
    } finally {
      if (scratch !== undefined) this.#pool.give(scratch)
      this.release()
    }
  }

  /** Gives up what was asked for and lets go of the packs. */
  release(): void {
    for (const pack of this.#held) pack.release()
    this.#held.clear()
    this.#open.clear()
    this.#size = 0
    const lists: unknown[][] = [
      this.#runs,
      this.#direct,
      this.#runOf,
      this.#positions,
      this.#targets,
      this.#ats,
      this.#lengths,
      this.#patches,
    ]
    for (const list of lists) list.length = 0
  }

  /** The long stretches, and the runs, which go to the scratch memory. */
  #allReads(scratch: Buffer): PackRead[] {
    let at = 0
    const runs = this.#runs.map((run) => {
      run.at = at
      at += run.end - run.start
      return { pack: run.pack, position: run.start, target: scratch.subarray(run.at, at) }
    })
    return [...this.#direct, ...runs]
  }

  /** Copies the stretches from the scratch memory to their places. */
  #deal(scratch: Buffer): void {
    for (let i = 0; i < this.#lengths.length; i++) {
      const run = this.#runOf[i]!
      const from = run.at + this.#positions[i]! - run.start
      scratch.copy(this.#targets[i]!, this.#ats[i]!, from, from + this.#lengths[i]!)
    }
  }
}
