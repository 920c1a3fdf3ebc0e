import { readdir, readFile } from 'node:fs/promises'

/** Command lines of all processes below this one, such as run or wait to be reaped now. */
export async function childProcesses(): Promise<string[]> {
  const parents = new Map<number, number>()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => undefined)
    // The second field is a name in parentheses, which may hold anything.
    const parent = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
    if (parent !== undefined) parents.set(Number(name), Number(parent))
  }
  const below: string[] = []
  for (const pid of parents.keys()) {
    let at: number | undefined = pid
    do at = parents.get(at)
    while (at !== undefined && at !== process.pid && at > 1)
    if (at !== process.pid) continue
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    below.push(`${pid} ${line.replaceAll('\0', ' ').trim()}`)
  }
  return below
}
