import type { Config } from '../config/schema.ts'
import { findGitDir } from '../git/git-dir.ts'
import { errorMessage } from '../util/errors.ts'
import { clientCheck } from './checks/client.ts'
import { clockCheck } from './checks/clock.ts'
import { daemonCheck } from './checks/daemon.ts'
import { diskCheck } from './checks/disk.ts'
import { keysCheck } from './checks/keys.ts'
import { lockCheck } from './checks/lock.ts'
import { meshCheck } from './checks/mesh.ts'
import { nodeCheck } from './checks/node.ts'
import { permissionsCheck } from './checks/permissions.ts'
import { programsCheck } from './checks/programs.ts'
import { sourcesCheck } from './checks/sources.ts'
import { storeCheck } from './checks/store.ts'
import { broken, type Check, type Finding } from './finding.ts'

/** Time for one check, in milliseconds; the slowest wait for machines that do not answer. */
const CHECK_LIMIT = 30_000

/** All checks, in the order in which one would look: what others depend on first. */
export const CHECKS: readonly Check[] = [
  storeCheck,
  permissionsCheck,
  lockCheck,
  keysCheck,
  diskCheck,
  clockCheck,
  programsCheck,
  nodeCheck,
  daemonCheck,
  sourcesCheck,
  meshCheck,
  clientCheck,
]

/** What one check found; nothing when all is well. */
export interface Report {
  readonly check: string
  readonly findings: readonly Finding[]
}

export interface ExamineOptions {
  readonly config: Config
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** Runs all checks one after the other, and gives each one's report as it comes. */
export async function* examine({ config, env, signal }: ExamineOptions): AsyncGenerator<Report> {
  const gitDir = await findGitDir(config.store.path).catch(() => undefined)
  for (const check of CHECKS) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CHECK_LIMIT)])
    const findings: Finding[] = []
    try {
      for await (const finding of check.run({ config, env, gitDir, signal: limit })) findings.push(finding)
    } catch (error) {
      signal.throwIfAborted()
      findings.push(
        broken(
          'CHECK_FAILED',
          `the check of ${check.name} could not be finished: ${errorMessage(error)}`,
          'mend what the message names; if it names nothing of yours, report it as a defect of gachix',
        ),
      )
    }
    yield { check: check.name, findings }
  }
}
