import { hashObject } from '../../git/oid.ts'
import { throwIfAborted, unlessAborted } from '../../ingest/abort.ts'
import { MAX_NARINFO_SIZE } from '../../nix/narinfo.ts'
import type { Quarantine, RemotePackage, RepositorySession, SentNarInfo } from '../../store/api.ts'
import { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import type { Claims } from '../claims.ts'
import { narinfoLimits } from '../limits.ts'
import { IncompletePackError } from './incomplete-pack.ts'

/** A source announced a package, and sent no narinfo that has the announced id. */
export class NarInfoNotSentError extends GachixError {
  constructor(hash: string) {
    super('ERR_NARINFO_NOT_SENT', `the narinfo of ${hash} was announced and did not come`)
  }
}

/** A source sends more than so many narinfos can have. */
export class NarInfosTooLargeError extends GachixError {
  constructor(most: number) {
    super('ERR_BUDGET_EXCEEDED', `the narinfos are refused: they have more than the ${most} bytes allowed`)
  }
}

/** What a repository announces of packages, by their hash parts. */
export type Announcements = ReadonlyMap<string, RemotePackage>

/** A package as a repository announces it, with its narinfo blob, which has the announced id. */
export interface RemoteNarInfo {
  readonly remote: RemotePackage
  /** @throws CorruptObjectError when it is none, or too long */
  read(): Promise<Uint8Array>
}

/** Hash parts of packages that are announced with their commits, and are not among those whose narinfos were read. */
export function unread(there: Announcements, read: ReadonlySet<string>): string[] {
  const left: string[] = []
  for (const { hash, commit } of there.values()) if (commit !== undefined && !read.has(hash)) left.push(hash)
  return left
}

/**
 * Narinfos of one who sends them by themselves, each as it comes: nothing of them is written. What was published between its two answers
 * is asked for once more. What is not announced, or comes with another id, is left out.
 *
 * @param asking for the announcements, at the same time
 * @throws NarInfosTooLargeError, what either of the two throws; but nothing for narinfos of one who has none of the packages
 */
export async function* streamNarInfos(
  narinfos: (hashes: readonly string[]) => AsyncIterable<SentNarInfo>,
  hashes: readonly string[],
  asking: Promise<Announcements>,
): AsyncGenerator<RemoteNarInfo, void> {
  // Awaited below: its failure comes before that of the narinfos.
  asking.catch(() => {})
  const read = new Set<string>()
  let failure: { readonly error: unknown } | undefined
  try {
    yield* announcedOf(narinfos(hashes), asking, hashes.length, read)
  } catch (error) {
    failure = { error }
  }
  const there = await asking
  if (failure !== undefined && there.size > 0) throw failure.error
  const late = unread(there, read)
  if (late.length > 0) yield* announcedOf(narinfos(late), asking, late.length, read)
}

/** Of what is sent, that which was announced so. @param read takes up whose they are */
async function* announcedOf(
  sent: AsyncIterable<SentNarInfo>,
  asking: Promise<Announcements>,
  count: number,
  read: Set<string>,
): AsyncGenerator<RemoteNarInfo, void> {
  const most = narinfoLimits(count).inflatedBytes
  let bytes = 0
  for await (const { hash, blob } of sent) {
    bytes += blob.length
    if (bytes > most) throw new NarInfosTooLargeError(most)
    const remote = (await asking).get(hash)
    if (remote === undefined || hashObject('blob', blob) !== remote.narinfo) continue
    read.add(hash)
    yield { remote, read: async () => blob }
  }
}

/**
 * Narinfos of one who sends packs alone: they are brought into quarantine, each once, whoever else wants them at the same time.
 *
 * @throws IncompletePackError when something announced does not come
 */
export async function* fetchNarInfos(
  session: RepositorySession,
  there: Announcements,
  { quarantine, claims }: { quarantine: Quarantine; claims: Claims },
  options: AbortOptions,
): AsyncGenerator<RemoteNarInfo, void> {
  const remotes = [...there.values()]
  const oids = remotes.map(({ narinfo }) => narinfo)
  for (;;) {
    const unread = oids.filter((oid) => !quarantine.has(oid))
    if (unread.length === 0) break
    const { mine, others, release } = claims.claim(unread)
    try {
      if (mine.length > 0) {
        const pack = session.fetch({ wants: mine, haves: [] }, options)
        await quarantine.receive(pack, narinfoLimits(mine.length), options)
        const lacking = mine.filter((oid) => !quarantine.has(oid))
        if (lacking.length > 0) throw new IncompletePackError(lacking.length)
      }
    } finally {
      release()
    }
    await unlessAborted(Promise.all(others), options.signal)
    throwIfAborted(options.signal)
  }
  const limits = { ...options, maxSize: MAX_NARINFO_SIZE }
  for (const remote of remotes)
    yield { remote, read: async () => (await quarantine.read(remote.narinfo, limits)).data }
}
