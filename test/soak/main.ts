/** `npm run soak`: see the README beside this file. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseOptions, USAGE, UsageError } from './options.ts'

// What users run is soaked: what `npm run build` made. The harness reads this when it is loaded.
process.env.GACHIX_TEST_DIST = '1'

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) console.log(USAGE)
  else {
    const { soak } = await import('./soak.ts')
    const { markdownReport } = await import('./report.ts')
    console.error(`soak: ${options.minutes} minutes, seed ${options.seed}`)
    const report = await soak(options, (line) => console.error(`${new Date().toISOString()} ${line}`))
    const markdown = markdownReport(report)
    await writeFile(join(options.out, 'soak.json'), `${JSON.stringify(report, null, 2)}\n`)
    await writeFile(join(options.out, 'soak.md'), markdown)
    console.log(markdown)
    if (report.problems.length > 0) process.exitCode = 1
  }
} catch (error) {
  console.error(error instanceof UsageError ? `soak: ${error.message}\n\n${USAGE}` : error)
  process.exitCode = 1
}
