/** What of the node's repository is needed to answer peers. */
import type { ObjectDatabase } from '../../git/object-database.ts'
import { type Oid, oidFromBytes } from '../../git/oid.ts'
import { selectObjects } from '../../git/walk/select.ts'
import { MAX_NARINFO_SIZE } from '../../nix/narinfo.ts'
import type { ObjectGiver } from '../../store/api.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'

export interface ServedRepository extends ObjectGiver {
  /** A narinfo blob. */
  narinfo(oid: Oid, options?: AbortOptions): Promise<Uint8Array>
  /** Whether the commits reach all of the objects. */
  reaches(commits: readonly Oid[], oids: readonly Oid[], options?: AbortOptions): Promise<boolean>
}

/** Answers out of a store and its object database. */
export function serveRepository(store: ObjectGiver, database: ObjectDatabase): ServedRepository {
  return {
    announced: (hash) => store.announced(hash),
    pack: (request, options) => store.pack(request, options),

    narinfo: async (oid, options = {}) =>
      (await database.read(oid, { ...options, maxSize: MAX_NARINFO_SIZE })).data,

    async reaches(commits, oids, options = {}) {
      const missing = new Set(oids)
      const selection = await selectObjects(database, { wants: commits, haves: [] }, options)
      for (let number = 0; number < selection.count && missing.size > 0; number++) {
        missing.delete(oidFromBytes(selection.at(number)))
      }
      return missing.size === 0
    },
  }
}
