import { LRUCache } from 'lru-cache'
import type { ObjectDatabase } from '../git/object-database.ts'
import type { Oid } from '../git/oid.ts'
import type { NarPlan } from './plan.ts'
import { makePlan } from './plan-builder.ts'
import type { PlanFiles } from './plan-files.ts'
import type { SpliceRecords } from './splice-records.ts'

/** Memory for plans of packages that were asked for lately. */
const PLAN_CACHE_BYTES = 32 * 1024 * 1024

export interface PlansComponents {
  readonly database: ObjectDatabase
  readonly records: SpliceRecords
  readonly files: PlanFiles
  /** Ends the making of plans. */
  readonly signal: AbortSignal
  /** Told of work that has to end before the store is closed. */
  readonly onWork: (work: Promise<void>) => void
}

/** The plans of packages: in memory, else from their files, else made. */
export class Plans {
  readonly #components: PlansComponents
  readonly #cached = new LRUCache<Oid, NarPlan>({
    maxSize: PLAN_CACHE_BYTES,
    sizeCalculation: ({ memory }) => memory,
  })
  readonly #making = new Map<Oid, Promise<NarPlan>>()

  constructor(components: PlansComponents) {
    this.#components = components
  }

  /** The plan of a tree. @throws what `makePlan` throws */
  async get(tree: Oid, signal?: AbortSignal): Promise<NarPlan> {
    const cached = this.#cached.get(tree)
    if (cached !== undefined) return cached
    // Who asks while a plan is being made waits for that one. It is made to its end, whoever leaves.
    const plan = await (this.#making.get(tree) ?? this.#start(tree, true))
    signal?.throwIfAborted()
    return plan
  }

  /** A plan of the packs as they are now. @throws what `makePlan` throws */
  make(tree: Oid): Promise<NarPlan> {
    return this.#start(tree, false)
  }

  /** Forgets the plan of a tree, which no longer describes the packs. */
  forget(tree: Oid): void {
    this.#cached.delete(tree)
    this.#components.onWork(this.#components.files.forget(tree))
  }

  #start(tree: Oid, mayBeKept: boolean): Promise<NarPlan> {
    const making = this.#find(tree, mayBeKept)
      .then((plan) => {
        this.#cached.set(tree, plan)
        return plan
      })
      .finally(() => {
        if (this.#making.get(tree) === making) this.#making.delete(tree)
      })
    this.#making.set(tree, making)
    return making
  }

  async #find(tree: Oid, mayBeKept: boolean): Promise<NarPlan> {
    const { database, records, files, signal, onWork } = this.#components
    const kept = mayBeKept ? await files.plan(tree) : undefined
    if (kept !== undefined) return kept
    const plan = await makePlan(database, records, tree, signal)
    onWork(files.keepPlan(plan))
    return plan
  }
}
