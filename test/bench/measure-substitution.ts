/** The whole way: the real `nix copy --from` each cache into an empty store. */
import { NixClient } from '../support/nix-client.ts'
import type { Figure } from './figures.ts'
import { MemoryDisk } from './memory-disk.ts'
import type { PackageSet } from './package-set.ts'
import { type Cost, measured } from './process-stats.ts'
import { type Turns, takeTurns } from './rounds.ts'
import type { ServedCache } from './served-cache.ts'

/** Each round writes everything, for each cache. */
const MOST_ROUNDS = 3

/** Fetches the set from the product and the yardsticks, signatures required. */
export async function measureSubstitution(
  set: PackageSet,
  product: ServedCache,
  yardsticks: readonly ServedCache[],
  publicKey: string,
  turns: Turns,
): Promise<Figure[]> {
  await using disk = await MemoryDisk.mount()
  const fetch = async ({ url }: ServedCache): Promise<Cost> => {
    await using client = await NixClient.create({ within: disk.folder })
    return await measured(() => client.copy({ url, publicKeys: [publicKey] }, set.roots))
  }
  const limited = { ...turns, rounds: Math.min(turns.rounds, MOST_ROUNDS) }
  const costs = await takeTurns([product, ...yardsticks], fetch, limited)
  const parts: [string, (cost: Cost) => number][] = [
    ['all packages, wall', ({ seconds }) => seconds],
    ['CPU of the client', (cost) => cost.cpuSeconds],
  ]
  return parts.flatMap(([name, of]) =>
    yardsticks.map((yardstick) => ({
      section: '`nix copy --from` into an empty store',
      name,
      unit: 's',
      product: costs.get(product)!.map(of),
      yardstick: { name: yardstick.name, samples: costs.get(yardstick)!.map(of) },
    })),
  )
}
