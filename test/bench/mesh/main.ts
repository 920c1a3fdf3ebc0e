/** `npm run bench:mesh`: see the README beside this file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { childrenOf } from '../process-stats.ts'
import { parseOptions, USAGE, UsageError } from './options.ts'

async function main(signal: AbortSignal): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    console.log(USAGE)
    return
  }
  // The harness runs what `npm run build` made: what users run. It reads this when it is loaded.
  process.env.GACHIX_TEST_DIST = '1'
  const folder = await mkdtemp(join(tmpdir(), 'gxbm-'))
  // All that the run writes lies in there, whoever makes it.
  process.env.TMPDIR = folder
  try {
    const { bench } = await import('./bench.ts')
    const { describeMachine } = await import('../report.ts')
    const { jsonReport, markdownReport } = await import('./report.ts')
    const results = await bench(options, () => loadavg()[0]!, signal)
    const machine = await describeMachine()
    const markdown = markdownReport(results, machine, options)
    console.log(markdown)
    if (options.markdown !== undefined) await writeFile(options.markdown, markdown)
    if (options.json !== undefined) await writeFile(options.json, jsonReport(results, machine, options))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const controller = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time there is no patience left.
    if (controller.signal.aborted) process.exit(130)
    controller.abort(new Error(`ended by ${name}`))
    // Whatever is waited for is a program that we started: when it ends the wait fails and all is cleaned up.
    for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGTERM')
  })
}

try {
  await main(controller.signal)
} catch (error) {
  const cause: unknown = controller.signal.aborted ? controller.signal.reason : error
  const usage = cause instanceof UsageError ? `\n\n${USAGE}` : ''
  console.error(`bench: ${cause instanceof Error ? cause.message : String(cause)}${usage}`)
  process.exitCode = controller.signal.aborted ? 130 : 1
}
