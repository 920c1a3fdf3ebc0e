/** The client process, seen from the benchmark. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { stopChild } from '../support/process.ts'
import type { Job, JobResult, Reply } from './client-messages.ts'

export class LoadClient implements AsyncDisposable {
  readonly #child: ChildProcess

  constructor() {
    // A profile or inspector of the benchmark is none of the client's business.
    this.#child = fork(join(import.meta.dirname, 'client.ts'), { serialization: 'advanced', execArgv: [] })
  }

  /** Does a job. Throws when an answer was not 200 or not of the right size. One at a time. */
  run(job: Job): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      const child = this.#child
      const settle = (): void => {
        child.off('message', answered)
        child.off('exit', ended)
      }
      const answered = (reply: Reply): void => {
        settle()
        if ('result' in reply) resolve(reply.result)
        else reject(new Error(reply.error))
      }
      const ended = (): void => {
        settle()
        reject(new Error('the client process has ended'))
      }
      child.on('message', answered)
      child.on('exit', ended)
      if (child.exitCode !== null || child.signalCode !== null) ended()
      else child.send(job)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopChild(this.#child)
  }
}
