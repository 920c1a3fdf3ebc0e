import {
  CHANGE_BYTES,
  HASH_BYTES,
  type Head,
  type InventoryAnswer,
  type InventoryRequest,
  PREFIX_BYTES,
  REFUSAL_CODES,
} from '../../../protocol/index.ts'
import { FollowedSet, prefixesOf } from './followed-set.ts'
import { Reconciliation } from './reconciliation.ts'

/** Packages of one peer that are followed: 32 MB of prefixes. Of a peer with more only heads are kept, and it is asked. */
export const MAX_FOLLOWED_PACKAGES = 4_000_000
/** Below this a snapshot is one page, and nothing is cheaper. */
const SMALL_INVENTORY = 1000
/** Times that following starts over before it is given up for now. */
const MAX_RESTARTS = 5

/** What is to be done after a head or an answer: nothing, ask `request()`, or give up until later because the peer errs. */
export type FollowStep = 'current' | 'ask' | 'failed'

/** A list under way: prefixes of the pages so far. */
interface Snapshot {
  readonly kind: 'snapshot'
  readonly pages: Buffer[]
  count: number
  after?: Uint8Array
}

interface Comparison {
  readonly kind: 'comparison'
  readonly reconciliation: Reconciliation
}

/** A list or a comparison is right for the state when it began; the log from there on brings it up to date. */
type Task = (Snapshot | Comparison) & { readonly epoch: number; start?: number }

/**
 * Follows the inventory of one peer: applies what its heads say, and says which questions to ask when they do not suffice. Pure: heads and
 * answers are handed in, one question is under way at a time.
 */
export class Follower {
  #set = new FollowedSet()
  /** Epoch and last change that the set has in it; 0 before anything is known. */
  #epoch = 0
  #seq = 0
  #head: Head | undefined
  #task: Task | undefined
  #restarts = 0
  readonly #similar: () => Uint8Array
  readonly #learnt: (hashes: Uint8Array[]) => void

  /**
   * @param similar prefixes of a set that may be like the peer's: our own inventory; must not change afterwards
   * @param learnt is told hash parts that the peer turns out to have and our own inventory, where it was compared with, does not; as
   *   they come, some perhaps twice
   */
  constructor(similar: () => Uint8Array, learnt: (hashes: Uint8Array[]) => void = () => {}) {
    this.#similar = similar
    this.#learnt = learnt
  }

  /** What the peer has, as far as we know. */
  get set(): FollowedSet {
    return this.#set
  }

  /** Whether the set is that of the newest head. */
  get current(): boolean {
    return this.#head !== undefined && this.#epoch === this.#head.epoch && this.#seq >= this.#head.seq
  }

  /** Takes in a head that is newer than the ones before. */
  head(head: Head): FollowStep {
    this.#head = head
    this.#restarts = 0
    if (this.#task === undefined) this.#applyNewest(head)
    if (this.current) return 'current'
    return head.count > MAX_FOLLOWED_PACKAGES ? 'failed' : 'ask'
  }

  /** The next question to the peer; `undefined` when there is none. */
  request(): InventoryRequest | undefined {
    const head = this.#head
    if (head === undefined || head.count > MAX_FOLLOWED_PACKAGES) return undefined
    if (this.#task === undefined && this.current) return undefined
    this.#task ??= this.#newTask(head)
    const task = this.#task
    if (task === undefined) return { epoch: this.#epoch, log: { after: this.#seq } }
    if (task.kind === 'comparison') return task.reconciliation.request(task.epoch)
    return { epoch: task.epoch, snapshot: task.after === undefined ? {} : { after: task.after } }
  }

  /** Takes in the answer to the last question. */
  answer(answer: InventoryAnswer): FollowStep {
    if (answer.refusal !== undefined) return this.#refused(answer.refusal.code, answer)
    const task = this.#task
    if (task === undefined) return this.#takeLog(answer)
    task.start ??= answer.seq
    return task.kind === 'snapshot' ? this.#takePage(task, answer) : this.#compare(task, answer)
  }

  /** What a head's newest hashes add, when nothing is missing before them. */
  #applyNewest(head: Head): void {
    const carried = head.newest.length / HASH_BYTES
    if (head.epoch !== this.#epoch) {
      // a head that carries the whole inventory
      if (carried !== head.count) return
      this.#set = new FollowedSet()
      this.#epoch = head.epoch
      this.#seq = head.seq - carried
    }
    const missing = head.seq - this.#seq
    if (missing < 0 || missing > carried) return
    const learnt: Uint8Array[] = []
    for (let at = (carried - missing) * HASH_BYTES; at < head.newest.length; at += HASH_BYTES) {
      if (this.#set.add(head.newest, at)) learnt.push(head.newest.subarray(at, at + HASH_BYTES))
    }
    this.#seq = head.seq
    if (learnt.length > 0) this.#learnt(learnt)
    if (!this.#set.matches(head.count, head.fingerprint)) this.#mistrust()
  }

  #newTask(head: Head): Task | undefined {
    if (this.#epoch === head.epoch && this.#seq >= head.minSeq) return undefined
    const similar = this.#similar()
    const ours = similar.length / PREFIX_BYTES
    const own = Math.abs(this.#set.count - head.count) > Math.abs(ours - head.count)
    const size = own ? ours : this.#set.count
    const alike = size > head.count / 2 && size < head.count * 2
    if (head.count < SMALL_INVENTORY || !alike || this.#restarts > 2) return this.#list(head.epoch)
    // from now on the set is changed: it is of no known epoch until it is done
    if (!own) this.#mistrust()
    const base = own ? new FollowedSet(similar) : this.#set
    return { kind: 'comparison', epoch: head.epoch, reconciliation: new Reconciliation(base) }
  }

  #list(epoch: number): Task {
    return { kind: 'snapshot', epoch, pages: [], count: 0 }
  }

  #takeLog(answer: InventoryAnswer): FollowStep {
    if (answer.log === undefined || answer.epoch !== this.#epoch || answer.log.start !== this.#seq)
      return this.#startOver()
    const learnt = this.#set.apply(answer.log.changes)
    this.#seq += answer.log.changes.length / CHANGE_BYTES
    if (learnt.length > 0) this.#learnt(learnt)
    if (this.#seq < answer.seq) {
      // a page without changes before the end would be asked for for ever
      return answer.log.changes.length > 0 ? 'ask' : this.#startOver()
    }
    if (!this.#set.matches(answer.count, answer.fingerprint)) {
      this.#mistrust()
      return this.#startOver()
    }
    this.#restarts = 0
    return this.current ? 'current' : 'ask'
  }

  #takePage(task: Snapshot & Task, answer: InventoryAnswer): FollowStep {
    const page = answer.snapshot
    if (page === undefined || answer.epoch !== task.epoch) return this.#startOver()
    if (task.after !== undefined && page.hashes.length > 0) {
      if (Buffer.compare(page.hashes.subarray(0, HASH_BYTES), task.after) <= 0) return this.#startOver()
    }
    task.pages.push(prefixesOf(page.hashes))
    task.count += page.hashes.length / HASH_BYTES
    if (task.count > MAX_FOLLOWED_PACKAGES) return this.#startOver()
    const learnt: Uint8Array[] = []
    for (let at = 0; at < page.hashes.length; at += HASH_BYTES) {
      if (!this.#set.has(page.hashes, at)) learnt.push(page.hashes.subarray(at, at + HASH_BYTES))
    }
    if (learnt.length > 0) this.#learnt(learnt)
    if (page.more) {
      task.after = Uint8Array.from(page.hashes.subarray(page.hashes.length - HASH_BYTES))
      return 'ask'
    }
    return this.#finish(task, new FollowedSet(Buffer.concat(task.pages)), answer)
  }

  #compare(task: Comparison & Task, answer: InventoryAnswer): FollowStep {
    if (answer.epoch !== task.epoch) return this.#startOver()
    switch (task.reconciliation.answer(answer, this.#learnt)) {
      case 'more':
        return 'ask'
      case 'done':
        return this.#finish(task, task.reconciliation.set, answer)
      case 'too different':
        this.#task = this.#list(task.epoch)
        return 'ask'
      default:
        return this.#startOver()
    }
  }

  /** The set is that of some moment since `task.start`; the log from there on is applied on top, twice where it must. */
  #finish(task: Task, set: FollowedSet, answer: InventoryAnswer): FollowStep {
    this.#set = set
    this.#epoch = task.epoch
    this.#seq = task.start!
    this.#task = undefined
    if (answer.seq > this.#seq) return 'ask'
    if (set.matches(answer.count, answer.fingerprint)) {
      this.#restarts = 0
      return this.current ? 'current' : 'ask'
    }
    this.#mistrust()
    return this.#startOver()
  }

  #refused(code: number, answer: InventoryAnswer): FollowStep {
    if (code !== REFUSAL_CODES.OTHER_EPOCH && code !== REFUSAL_CODES.NOT_FOUND) return 'failed'
    // The head is older than the peer's state: what it says of epoch and log is what counts.
    if (this.#head !== undefined && answer.epoch >= this.#head.epoch) {
      const { epoch, seq, minSeq, count, fingerprint } = answer
      this.#head = { ...this.#head, epoch, seq, minSeq, count, fingerprint, newest: Buffer.alloc(0) }
    }
    return this.#startOver()
  }

  /** The set is not what it should be: its epoch is as good as unknown, its contents are a base to compare with. */
  #mistrust(): void {
    this.#epoch = 0
    this.#seq = 0
  }

  #startOver(): FollowStep {
    this.#task = undefined
    this.#restarts++
    if (this.#restarts <= MAX_RESTARTS) return 'ask'
    this.#restarts = 0
    return 'failed'
  }
}
