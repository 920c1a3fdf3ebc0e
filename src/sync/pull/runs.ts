import type { Planned } from './plan.ts'

/** Packages that are fetched from one source in a row. */
export interface Run {
  readonly packages: readonly Planned[]
}

/**
 * Cuts a plan into runs of one source each, so that every package comes after what it refers to, in few runs.
 *
 * @param missing references first
 */
export function intoRuns(missing: readonly Planned[]): Run[] {
  const runs: Run[] = []
  let open = [...missing]
  const outside = new Set(open.map(hashOf))
  while (open.length > 0) {
    const { link } = open[0]!
    const packages: Planned[] = []
    const rest: Planned[] = []
    for (const planned of open) {
      const self = hashOf(planned)
      const ready = planned.found.info.references.every(({ hash }) => hash === self || !outside.has(hash))
      if (planned.link === link && ready) {
        packages.push(planned)
        outside.delete(self)
      } else rest.push(planned)
    }
    runs.push({ packages })
    open = rest
  }
  return runs
}

function hashOf({ found }: Planned): string {
  return found.info.storePath.hash
}
