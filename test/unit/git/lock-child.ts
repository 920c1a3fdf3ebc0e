/**
 * Takes the lock of the repository given, tells what came of it in one line (`held`, or the error's code), and keeps the
 * lock until its standard input ends. It begins when it reads a line, so that several can begin together.
 */
import { once } from 'node:events'
import { RepositoryLock } from '../../../src/git/lock.ts'
import { errorCode } from '../../../src/util/errors.ts'

const [gitDir = ''] = process.argv.slice(2)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
const ended = once(process.stdin, 'end')
try {
  const lock = await RepositoryLock.acquire(gitDir)
  process.stdout.write('held\n')
  process.stdin.resume()
  await ended
  await lock.release()
} catch (error) {
  process.stdout.write(`${errorCode(error)}\n`)
}
process.exit(0)
