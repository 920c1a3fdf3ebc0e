/** The whole way: the real `nix copy --from` each cache into an empty store. */
import { NixClient } from '../support/nix-client.ts'
import type { Figure } from './figures.ts'
import type { PackageSet } from './package-set.ts'
import { type Cost, measured } from './process-stats.ts'
import { type Turns, takeTurns } from './rounds.ts'
import type { ServedCache } from './served-cache.ts'

/** Each round writes everything to the disk, for each cache. */
const MOST_ROUNDS = 3

/** Fetches the set from the product and the yardsticks, signatures required. */
export async function measureSubstitution(
  set: PackageSet,
  product: ServedCache,
  yardsticks: readonly ServedCache[],
  publicKey: string,
  turns: Turns,
): Promise<Figure[]> {
  // The stores stay until the end: ext4 without a journal looks for minutes at each inode of files that were removed before it takes another
  // one, so that whoever came later spent several times the system time.
  await using clients = new AsyncDisposableStack()
  const fetch = async ({ url }: ServedCache): Promise<Cost> => {
    const client = clients.use(await NixClient.create())
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
