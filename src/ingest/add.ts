import type { PathInfo } from '../nix/path-info.ts'
import type { StorePath } from '../nix/store-path.ts'
import type { AddEvent } from '../store/add-event.ts'
import type { IngestSession, PackageSource, PackageStore } from '../store/api.ts'
import { errorCode, errorMessage, GachixError } from '../util/errors.ts'
import type { AbortOptions } from '../util/lifecycle.ts'
import { abortedError, throwIfAborted } from './abort.ts'
import { PathNotFoundError, walkClosure } from './closure.ts'
import { concurrently } from './concurrently.ts'

export interface AddPackagesOptions extends AbortOptions {
  /** Add only the roots, published although their references are missing. */
  readonly single?: boolean
  /** Packages that are read at once; default 4. */
  readonly concurrency?: number
  readonly onEvent?: (event: AddEvent) => void
}

export interface AddResult {
  /** Packages that were looked at: those added and those found present. */
  readonly paths: number
  readonly added: number
  readonly present: number
  /** NAR bytes of the added packages. */
  readonly bytes: number
  /** Bytes by which the repository has grown. */
  readonly stored: number
}

/** Adding one package failed; carries the code of its cause and names the package. */
export class PackageFailedError extends GachixError {
  readonly path: string

  constructor(path: StorePath, cause: unknown) {
    super(errorCode(cause), `cannot add ${path}: ${errorMessage(cause)}`, { cause })
    this.path = path.toString()
  }
}

/**
 * Adds packages and all that they refer to from a source to a store.
 *
 * What the store has is not read again. Where it has a package with its closure the walk ends, and what lies
 * below is not counted either. A package that was added alone while its references were missing is walked
 * through, and handed to the store once more, after its references, so that it becomes complete.
 *
 * After a failure nothing new is started; what runs is finished, every package that is complete with its
 * references is published, and then the first error is thrown. When the signal fires, only what was published by
 * then stays.
 *
 * @throws PathNotFoundError when the source lacks a path; nothing is added then
 * @throws PackageFailedError when a package cannot be read or stored
 * @throws AbortedError when the signal fires
 */
export async function addPackages(
  store: PackageStore,
  source: PackageSource,
  roots: readonly StorePath[],
  options: AddPackagesOptions = {},
): Promise<AddResult> {
  const { single = false, concurrency = 4, signal, onEvent } = options
  const pass: AbortOptions = signal ? { signal } : {}
  const { missing, present } = await (single ? roster : closureRoster)(store, source, roots, pass)
  onEvent?.({
    type: 'closure',
    paths: missing.length + present.length,
    bytes: narBytes(missing) + narBytes(present),
    missing: missing.length,
    missingBytes: narBytes(missing),
  })

  const result = { paths: missing.length + present.length, added: 0, present: 0, bytes: 0, stored: 0 }
  const settle = (info: PathInfo, outcome: 'added' | 'present') => {
    result[outcome]++
    if (outcome === 'added') result.bytes += info.narSize
    onEvent?.({ type: 'package', path: info.storePath.toString(), narSize: info.narSize, outcome })
  }
  for (const info of present) settle(info, 'present')
  if (missing.length === 0) return result

  const meter = new Meter(onEvent)
  const session = store.ingest()
  try {
    await concurrently(missing, concurrency, async (info) => {
      throwIfAborted(signal)
      try {
        settle(info, await session.add(info, meter.count(source.nar(info, pass)), { ...pass, single }))
      } catch (error) {
        throw signal?.aborted ? abortedError(signal) : new PackageFailedError(info.storePath, error)
      }
    })
  } catch (error) {
    await publishComplete(session, signal)
    throw error
  }
  try {
    await session.finish()
  } finally {
    await session.abort()
  }
  meter.report()
  return { ...result, stored: session.bytesWritten }
}

interface Roster {
  /** To be read from the source, references first. */
  readonly missing: readonly PathInfo[]
  /** Found in the store. */
  readonly present: readonly PathInfo[]
}

/** The named packages alone. */
async function roster(
  store: PackageStore,
  source: PackageSource,
  roots: readonly StorePath[],
  options: AbortOptions,
): Promise<Roster> {
  const missing: PathInfo[] = []
  const present: PathInfo[] = []
  const unique = new Map(roots.map((path) => [path.baseName, path]))
  for (const path of unique.values()) {
    const known = store.has(path.hash) ? await store.package(path.hash, options) : undefined
    if (known !== undefined) {
      present.push(known.info)
      continue
    }
    const info = await source.pathInfo(path, options)
    if (info === undefined) throw new PathNotFoundError(path, source.name)
    missing.push(info)
  }
  return { missing, present }
}

/** The named packages and what they refer to, down to what the store has with its closure. */
async function closureRoster(
  store: PackageStore,
  source: PackageSource,
  roots: readonly StorePath[],
  options: AbortOptions,
): Promise<Roster> {
  const present: PathInfo[] = []
  const has = async (hash: string) => {
    const known = store.hasClosure(hash) ? await store.package(hash, options) : undefined
    if (known !== undefined) present.push(known.info)
    return known !== undefined
  }
  return { missing: await walkClosure(source, roots, { ...options, has }), present }
}

/**
 * Publishes what can be published after a failure. Its own failures are the consequence of the one that is
 * thrown.
 */
async function publishComplete(session: IngestSession, signal: AbortSignal | undefined): Promise<void> {
  try {
    if (!signal?.aborted) await session.finish()
  } catch {
    // Packages whose references failed: the first error tells why.
  }
  await session.abort()
}

function narBytes(infos: readonly PathInfo[]): number {
  return infos.reduce((sum, info) => sum + info.narSize, 0)
}

/** Milliseconds between two events about bytes. */
const REPORT_INTERVAL = 200

/** Counts the NAR bytes that pass. */
class Meter {
  readonly #onEvent: ((event: AddEvent) => void) | undefined
  #bytes = 0
  #reported = 0
  #last = 0

  constructor(onEvent: ((event: AddEvent) => void) | undefined) {
    this.#onEvent = onEvent
  }

  async *count(nar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of nar) {
      this.#bytes += chunk.length
      if (Date.now() - this.#last >= REPORT_INTERVAL) this.report()
      yield chunk
    }
  }

  /** Tells how many bytes have passed, unless that was told. */
  report(): void {
    if (this.#bytes === this.#reported) return
    this.#reported = this.#bytes
    this.#last = Date.now()
    this.#onEvent?.({ type: 'bytes', bytes: this.#bytes })
  }
}
