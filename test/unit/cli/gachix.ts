/**
 * Runs the command from its source in a directory of its own, away from the settings of whoever runs the tests.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Output } from '../../../src/cli/output.ts'
import { run } from '../../../src/cli/run.ts'

export const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
}

/** A temporary directory that commands run in. */
export class Sandbox {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async create(): Promise<Sandbox> {
    return new Sandbox(await mkdtemp(join(tmpdir(), 'gachix-cli-')))
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /** Starts `gachix` with nothing in its environment but the search path, a home directory and `env`. */
  start(args: readonly string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.path,
      env: { PATH: process.env.PATH, HOME: this.path, TMPDIR: this.path, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const finished = Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]).then(
      ([stdout, stderr, [code]]): Finished => ({ code: code as number | null, stdout, stderr }),
    )
    return { child, finished }
  }

  run(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
    return this.start(args, env).finished
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true })
  }
}

/** Runs the command inside this process, for what needs no directory and no signals. */
export async function runHere(args: readonly string[], env: Record<string, string> = {}): Promise<Finished> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const signal = new AbortController().signal
  const context = { stdout: new Output(stdout), stderr: stderr as unknown as NodeJS.WriteStream, env, signal }
  const code = await run(args, context, { signal, number: undefined })
  return { code, stdout: await text(stdout.end()), stderr: await text(stderr.end()) }
}

/** Resolves with the match once the process has written something to standard error that the pattern matches. */
export async function waitForStderr({ child }: Running, pattern: RegExp): Promise<RegExpExecArray> {
  let seen = ''
  return await new Promise((resolve, reject) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      seen += chunk.toString()
      const match = pattern.exec(seen)
      if (match !== null) resolve(match)
    })
    child.once('close', () => reject(new Error(`the process ended without saying ${pattern}: ${seen}`)))
  })
}
