/** The HTTP client of the benchmark, a process of its own and the same for every server: `LoadClient` starts it. */
import { setTimeout } from 'node:timers/promises'
import type { Job, JobResult, Reply } from './client-messages.ts'
import { HttpConnection } from './http-connection.ts'

async function work(job: Job): Promise<JobResult> {
  const { port, requests, connections, count, pause = 0 } = job
  const latencies = new Float64Array(count)
  let next = 0
  let done = 0
  const pull = async (connection: HttpConnection): Promise<void> => {
    while (next < count) {
      const { path, size } = requests[next++ % requests.length]!
      const began = performance.now()
      const answer = await connection.get(path)
      latencies[done++] = performance.now() - began
      if (answer.status !== 200) throw new Error(`${path}: status ${answer.status}`)
      if (answer.size !== size) throw new Error(`${path}: ${answer.size} bytes instead of ${size}`)
      if (pause > 0) await setTimeout(pause)
    }
  }
  const open = await Promise.all(Array.from({ length: connections }, () => HttpConnection.open(port)))
  try {
    const cpuBefore = process.cpuUsage()
    const began = performance.now()
    await Promise.all(open.map(pull))
    const seconds = (performance.now() - began) / 1000
    const cpu = process.cpuUsage(cpuBefore)
    return { seconds, latencies, clientCpuSeconds: (cpu.user + cpu.system) / 1e6 }
  } finally {
    for (const connection of open) connection.close()
  }
}

process.on('message', (job: Job) => {
  work(job).then(
    (result) => reply({ result }),
    (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))

function reply(message: Reply): void {
  process.send?.(message)
}
