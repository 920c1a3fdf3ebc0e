import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { errorCode } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, type Finding } from '../finding.ts'

const execute = promisify(execFile)

/** Whether the programs that the node starts are on this machine. */
export const programsCheck: Check = { name: 'programs', run }

async function* run({ config, env, signal }: CheckContext): AsyncGenerator<Finding> {
  const { builders, remotes } = config.store
  const needed: [program: string, flag: string, purpose: string][] = []
  if (remotes.length > 0) needed.push(['git', '--version', 'store.remotes'])
  if (builders.length + remotes.filter(({ url }) => !/^(https?|file):|^\.?\//.test(url)).length > 0) {
    needed.push(['ssh', '-V', 'store.builders and store.remotes'])
  }
  for (const [program, flag, purpose] of needed) {
    try {
      await execute(program, [flag], { env: { PATH: env.PATH }, signal })
    } catch (error) {
      signal.throwIfAborted()
      const reason = errorCode(error) === 'ENOENT' ? 'is not on the PATH' : 'does not run'
      yield broken(
        'PROGRAM_MISSING',
        `${program} ${reason}, and ${purpose} need it`,
        program === 'git'
          ? 'apt-get install git, or what installs git on this system'
          : 'install OpenSSH’s client',
      )
    }
  }
}
