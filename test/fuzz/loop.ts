import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { GachixError } from '../../src/util/errors.ts'
import { mutate } from './mutate.ts'
import type { Progress } from './progress.ts'
import { Random } from './random.ts'
import { DEFAULT_MAX_LENGTH, DEFAULT_MAX_MEMORY, type FuzzContext, type FuzzTarget } from './target.ts'

/** Inputs are kept for further mutation when their outcome is new, up to so many. */
const MAX_FOUND = 500
/** Runs between turns of the event loop with a forced collection of garbage, so that what is free is not taken for used. */
const RUNS_PER_COLLECTION = 200

export interface LoopOptions {
  readonly seed: number
  /** Made inputs to run, beside the seeds and the kept crashes; at least one of `runs` and `seconds` ends the loop. */
  readonly runs?: number
  readonly seconds?: number
  /** Folder of crashing inputs of earlier times, which are run first. */
  readonly crashes: string
}

/** How a loop ended. */
export interface LoopResult {
  readonly runs: number
  /** What went wrong with the input under way, if anything. */
  readonly failure?: { readonly kind: 'threw' | 'memory'; readonly message: string }
}

/** Runs seeds, kept crashes and then made inputs until one fails or it is enough. */
export async function fuzzLoop(
  target: FuzzTarget,
  context: FuzzContext,
  progress: Progress,
  options: LoopOptions,
): Promise<LoopResult> {
  const corpus = [...(await target.seeds()), ...keptCrashes(options.crashes), Buffer.alloc(0)]
  const first = corpus.length
  const tokens = (target.tokens ?? []).map((token) => Buffer.from(token as string))
  const maxLength = target.maxLength ?? DEFAULT_MAX_LENGTH
  const random = new Random(options.seed)
  const seen = new Set<string>()
  const end = performance.now() + (options.seconds ?? Number.POSITIVE_INFINITY) * 1000
  const last = first + (options.runs ?? Number.POSITIVE_INFINITY)
  const memory = new MemoryWatch(target.maxMemory ?? DEFAULT_MAX_MEMORY)

  let run = 0
  while (run < last && (run < first || performance.now() < end)) {
    const input = run < first ? corpus[run]! : mutate(random, { corpus, tokens, maxLength })
    run++
    progress.begin(run, input)
    const outcome = await outcomeOf(target, context, input)
    if (outcome.failure !== undefined) return { runs: run, failure: outcome.failure }
    // memory outside of the heap is given back only when the event loop turns
    if (run % RUNS_PER_COLLECTION === 0) await collectGarbage()
    if (memory.exceeded() && (await memory.resets())) {
      // the peak may be what earlier runs left to be collected; only this input by itself tells
      await outcomeOf(target, context, input)
    }
    if (memory.exceeded()) return { runs: run, failure: { kind: 'memory', message: memory.message } }
    if (run > first && seen.size < MAX_FOUND && !seen.has(outcome.shape)) corpus.push(Buffer.from(input))
    seen.add(outcome.shape)
  }
  return { runs: run }
}

interface Outcome {
  /** What the parser said, without the numbers and names in it: inputs of one shape took the same way through it. */
  readonly shape: string
  readonly failure?: { readonly kind: 'threw'; readonly message: string }
}

async function outcomeOf(target: FuzzTarget, context: FuzzContext, input: Buffer): Promise<Outcome> {
  try {
    // the input is the target's to keep or change; the copy that is reported is in the progress file
    await target.run(Buffer.from(input), context)
    return { shape: 'accepted' }
  } catch (error) {
    if (error instanceof GachixError) {
      return {
        shape: `${error.code} ${error.message.replaceAll(/["'`].*["'`]|[0-9a-f]{8,}|\d+/g, '#').slice(0, 200)}`,
      }
    }
    return { shape: 'failure', failure: { kind: 'threw', message: inspect(error) } }
  }
}

/** Watches the most memory that the process ever had. */
class MemoryWatch {
  readonly message: string
  readonly #limit: number

  constructor(maxMemory: number) {
    this.#limit = process.resourceUsage().maxRSS + maxMemory * 1024
    this.message = `took more than ${maxMemory} MiB`
  }

  exceeded(): boolean {
    return process.resourceUsage().maxRSS > this.#limit
  }

  /** Collects garbage and has the kernel (Linux) forget the peak; false where it does not. */
  async resets(): Promise<boolean> {
    await collectGarbage()
    try {
      writeFileSync('/proc/self/clear_refs', '5')
      return true
    } catch {
      return false
    }
  }
}

async function collectGarbage(): Promise<void> {
  globalThis.gc?.()
  await setImmediate()
}

function keptCrashes(folder: string): Buffer[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names
    .filter((name) => name.endsWith('.bin'))
    .sort()
    .map((name) => readFileSync(join(folder, name)))
}
