/** `npm run bench`: see the README beside this file. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { otherWork, readEarlierRun, timesAreOff, worseThan } from './check.ts'
import { parseOptions, USAGE, UsageError } from './options.ts'
import { childrenOf } from './process-stats.ts'

const TIMES_LEFT_OUT = '; others kept the machine busy, so only CPU, memory and sizes were compared'

async function main(signal: AbortSignal): Promise<void> {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) {
    console.log(USAGE)
    return
  }
  const { check } = options
  const earlier = check === undefined ? undefined : await readEarlierRun(check)
  const other = earlier && otherWork(earlier, options)
  if (other !== undefined) throw new UsageError(`--check ${check}: ${other}`)
  // The harness runs what `npm run build` made: what users run. It reads this when it is loaded.
  process.env.GACHIX_TEST_DIST = '1'
  const folder = await mkdtemp(join(tmpdir(), 'gachix-bench-'))
  // All that the run writes lies in there, whoever makes it.
  process.env.TMPDIR = folder
  try {
    if (options.profile === undefined) {
      const { bench, progress } = await import('./bench.ts')
      const { describeMachine, jsonReport, markdownReport } = await import('./report.ts')
      const results = await bench(options, signal)
      const machine = await describeMachine()
      console.log(markdownReport(results, machine, options))
      if (options.json !== undefined) await writeFile(options.json, jsonReport(results, machine, options))
      const worse = earlier === undefined ? [] : worseThan(earlier, { ...results, machine })
      if (worse.length > 0) throw new Error(`worse than in ${check}:\n${worse.join('\n')}`)
      if (earlier !== undefined)
        progress(`nothing is worse than in ${check}${timesAreOff(results) ? TIMES_LEFT_OUT : ''}`)
    } else {
      const { profile } = await import('./profile.ts')
      console.log(await profile(options, options.profile, signal))
    }
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
