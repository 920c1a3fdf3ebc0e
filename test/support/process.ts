/** Running other programs from tests: to the end with their output collected, or beside the test until stopped. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

export interface RunOptions {
  readonly cwd?: string
  /** The whole environment; nothing is inherited when given. */
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string | Uint8Array
  /** Milliseconds after which the program is killed and the call fails. */
  readonly timeout?: number
}

export interface RunResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs a program to its end. Never throws for its exit status. */
export async function attempt(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeout ?? 300_000,
    killSignal: 'SIGKILL',
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A program that does not read its input closes the pipe; its exit status tells whether that was right.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input)
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { code, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** Runs a program to its end and gives its standard output. Throws with its standard error unless it exits with 0. */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Buffer> {
  const result = await attempt(command, args, options)
  if (result.code !== 0) {
    const said = `${result.stderr}\n${result.stdout.toString()}`.trim().slice(-4000)
    throw new Error(
      `${[command, ...args].join(' ').slice(0, 500)}: exit ${result.code ?? result.signal}\n${said}`,
    )
  }
  return result.stdout
}

/** The lines of a program's output, without the empty ones. */
export async function runLines(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string[]> {
  return (await run(command, args, options))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

/** What a program that runs beside the test has written so far, standard output and error as they came. */
export function collectOutput(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-200_000)
    })
  }
  return () => text
}

/** Sends a signal, unless the program has ended, and waits for its end; kills it when it takes longer than `patience` ms. */
export async function stopChild(
  child: ChildProcess,
  signal: NodeJS.Signals = 'SIGTERM',
  patience = 20_000,
): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), patience)
  await ended
  clearTimeout(timer)
}

/** A TCP port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  server.close()
  await once(server, 'close')
  return address.port
}

/** Asks again and again until the answer is there. Fails with `what`, which may give details, after `patience` ms. */
export async function until<T>(
  what: () => string,
  ask: () => Promise<T | undefined>,
  patience = 30_000,
): Promise<T> {
  const deadline = Date.now() + patience
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error(`waited ${patience} ms in vain for ${what()}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** Works through `items`, at most `width` at a time. */
export async function eachOf<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
