/** What must be true once the nodes are left alone. */
import { SharePolicy } from '../../src/peers/inventory/share-policy.ts'
import { fsck } from '../support/gachix.ts'
import { hashPart } from '../support/narinfo.ts'
import { until } from '../support/process.ts'
import type { Member } from './member.ts'

/** Milliseconds until all nodes know each other again, dialling at growing intervals, and have pulled what they want. */
const PATIENCE = 240_000

/** Waits until every node is connected to all others. */
export async function allConnected(members: readonly Member[]): Promise<void> {
  const connected = new Map<string, number>()
  await until(
    () => `all to know each other: ${JSON.stringify([...connected])}`,
    async () => {
      for (const member of members) connected.set(member.name, (await member.status()).mesh!.connected)
      return [...connected.values()].every((count) => count === members.length - 1) ? true : undefined
    },
    PATIENCE,
  )
}

/** Waits until every node has what it promised, and what its policy wants of all that there is anywhere. */
export async function allArrived(members: readonly Member[]): Promise<Map<string, number>> {
  const missing = new Map<string, string[]>()
  const had = new Map<string, number>()
  await until(
    () =>
      [...missing]
        .map(([name, paths]) => `${name} to have ${paths.length} packages: ${paths.slice(0, 5).join(' ')}`)
        .join('; '),
    async () => {
      const lists = new Map<Member, Set<string>>()
      for (const member of members) {
        const packages = new Set((await member.list()).map(({ path }) => path))
        lists.set(member, packages)
        had.set(member.name, packages.size)
      }
      const all = new Set([...lists.values()].flatMap((each) => [...each]))
      for (const [member, packages] of lists) {
        const wanted = [...all].filter((path) => wants(member, path))
        const open = [...member.promised, ...wanted].filter((path) => !packages.has(path))
        if (open.length > 0) missing.set(member.name, open)
        else missing.delete(member.name)
      }
      return missing.size === 0 ? true : undefined
    },
    PATIENCE,
  )
  return had
}

function wants({ init: { sync } }: Member, path: string): boolean {
  if (sync === 'on-demand') return false
  if (sync === 'mirror') return true
  const name = path.slice(path.indexOf(hashPart(path)) + 33)
  return new SharePolicy(sync).shares(name)
}

/** Stops all nodes, as their operators would, and has git look at every object. */
export async function checkRepositories(members: readonly Member[]): Promise<void> {
  for (const member of members) {
    await member.end('SIGTERM')
    try {
      await fsck(member.gachix.repository)
    } catch (error) {
      member.init.problem((error as Error).message)
    }
  }
}
