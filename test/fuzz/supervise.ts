import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildOrder } from './child.ts'
import type { LoopResult } from './loop.ts'
import { readProgress } from './progress.ts'

const WATCH_MS = 250
/** Heap of the fuzzing process in MiB. Buffers lie outside of it; for those there is `FuzzTarget.maxMemory`. */
const HEAP_MIB = 256

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const CRASHES = fileURLToPath(new URL('./crashes/', import.meta.url))

export interface FuzzOptions {
  readonly seed: number
  readonly runs?: number
  readonly seconds?: number
  /** Where crashing inputs are kept, in one folder for each target; `crashes/` beside this file unless given. */
  readonly crashes?: string
  /** Module of the target, where it is none of `targets/`. */
  readonly file?: string
  /** Milliseconds after which a run is taken for a hang; 10,000 unless given. */
  readonly hangAfter?: number
}

export interface FuzzReport {
  readonly target: string
  readonly seed: number
  readonly runs: number
  readonly milliseconds: number
  readonly failure?: FuzzFailure
}

export interface FuzzFailure {
  /** `threw` what is no `GachixError`, `memory` beyond the target's, `hang`, `died` (out of heap, a crash). */
  readonly kind: 'threw' | 'memory' | 'hang' | 'died'
  readonly message: string
  /** The file that the input was written to. */
  readonly file: string
}

/** Fuzzes one target in a process of its own. */
export async function fuzz(target: string, options: FuzzOptions): Promise<FuzzReport> {
  const { crashes = CRASHES, file, hangAfter = 10_000, ...rest } = options
  const folder = join(crashes, target)
  const scratch = mkdtempSync(join(tmpdir(), `gachix-fuzz-${target}-`))
  const directory = join(scratch, 'files')
  const progressFile = join(scratch, 'progress')
  mkdirSync(directory)
  writeFileSync(progressFile, '')
  const started = performance.now()
  try {
    const order: ChildOrder = {
      ...(file === undefined ? { target } : { target, file }),
      directory,
      progressFile,
      options: { ...rest, crashes: folder },
    }
    const { result, failure } = await supervised(order, hangAfter)
    const { run, input } = readProgress(progressFile)
    return {
      target,
      seed: options.seed,
      runs: result?.runs ?? run,
      milliseconds: performance.now() - started,
      ...(failure && { failure: { ...failure, file: keep(folder, input) } }),
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

interface Verdict {
  readonly result?: LoopResult
  readonly failure?: Pick<FuzzFailure, 'kind' | 'message'>
}

async function supervised(order: ChildOrder, hangAfter: number): Promise<Verdict> {
  const child = fork(CHILD, [], {
    execArgv: ['--expose-gc', `--max-old-space-size=${HEAP_MIB}`],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let result: LoopResult | undefined
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(-4000)
  })
  child.once('message', (message) => {
    result = message as LoopResult
  })
  child.send(order)
  const watch = watchForHang(child, order.progressFile, hangAfter)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (watch.stop()) return { failure: { kind: 'hang', message: `no end after ${hangAfter / 1000} seconds` } }
  if (result === undefined) {
    return { failure: { kind: 'died', message: `the process ended with ${signal ?? code}\n${said}` } }
  }
  return { result, ...(result.failure && { failure: result.failure }) }
}

/** Kills the process when one run goes on for too long; `stop` tells whether it did. */
function watchForHang(child: ChildProcess, progressFile: string, hangAfter: number): { stop(): boolean } {
  let run = -1
  let since = performance.now()
  let killed = false
  const timer = setInterval(() => {
    const now = readProgress(progressFile).run
    if (now !== run) {
      run = now
      since = performance.now()
    } else if (performance.now() - since > hangAfter) {
      killed = child.kill('SIGKILL')
    }
  }, WATCH_MS)
  return {
    stop() {
      clearInterval(timer)
      return killed
    },
  }
}

function keep(folder: string, input: Buffer): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${createHash('sha256').update(input).digest('hex').slice(0, 40)}.bin`)
  writeFileSync(file, input)
  return file
}
