/** `gachix add`: from the local daemon, and what that does not have from the other sources. */
import type { AddOptions, AddRequest } from './http/control/api.ts'
import { type AddResult, addPackages } from './ingest/add.ts'
import { SignedSource } from './ingest/signed-source.ts'
import type { SecretKey } from './nix/signature.ts'
import { StorePath } from './nix/store-path.ts'
import type { Replication } from './replication.ts'
import type { PackageSource, PackageStore } from './store/api.ts'
import type { SourceLink } from './sync/source/link.ts'
import { errorCode, errorMessage, GachixError } from './util/errors.ts'

/** A source that is open for one operation. */
export interface OpenSource {
  readonly source: PackageSource
  close(): void
}

export interface AddingComponents {
  readonly store: PackageStore
  /** Opens the local daemon, `undefined` when the settings forbid it; `daemonSocket` is what the caller's environment names. */
  readonly openDaemon: (daemonSocket: string | undefined) => OpenSource | undefined
  /** The other places that packages can come from. */
  readonly replication: () => Promise<Replication>
  /** The node's key, made when there is none: what an operator adds, the node vouches for. */
  readonly signingKey: () => Promise<SecretKey>
}

/** What `--from` calls the Nix daemon of this machine. */
const LOCAL = 'local'

type Result = Omit<AddResult, 'stored'>

/** The configuration allows no source to learn packages from. */
export class NoSourceError extends GachixError {
  constructor() {
    super(
      'ERR_NO_SOURCE',
      'there is nothing to learn packages from: store.use_local_nix_daemon is false, and no remote, builder or upstream is set',
    )
  }
}

/** Only a Nix daemon gives packages without what they refer to. */
export class SingleFromElsewhereError extends GachixError {
  constructor() {
    super('ERR_SINGLE_NOT_LOCAL', 'only the local Nix daemon gives single packages; leave out --single')
  }
}

/**
 * Adds packages with everything that they refer to.
 *
 * @throws NoSourceError, SingleFromElsewhereError, UnknownSourceError; what `addPackages` and `Puller.pull` throw
 */
export async function addFrom(
  components: AddingComponents,
  request: AddRequest,
  options: AddOptions,
): Promise<Result> {
  const { store, openDaemon, replication } = components
  const roots = request.paths.map((path) => StorePath.containing(path, store.storeDir))
  if (request.from !== undefined && request.from !== LOCAL) {
    if (request.single) throw new SingleFromElsewhereError()
    return pull(await replication(), roots, options, [(await replication()).linkTo(request.from)])
  }
  const daemon = openDaemon(request.daemonSocket)
  try {
    const others = request.from === undefined && !request.single ? (await replication()).links : []
    if (daemon === undefined) {
      if (others.length === 0) throw new NoSourceError()
      return await pull(await replication(), roots, options)
    }
    const source = new SignedSource(daemon.source, await components.signingKey())
    const { here, elsewhere } =
      others.length === 0 ? { here: roots, elsewhere: [] } : await split(source, roots, options)
    const added = here.length > 0 ? await fromDaemon(store, source, here, request, options) : NOTHING
    return elsewhere.length > 0 ? sum(added, await pull(await replication(), elsewhere, options)) : added
  } finally {
    daemon?.close()
  }
}

const NOTHING: Result = { paths: 0, added: 0, present: 0, bytes: 0 }

/** Which of the packages the daemon has. One that cannot be reached has none: there are others to ask. */
async function split(
  source: PackageSource,
  roots: readonly StorePath[],
  options: AddOptions,
): Promise<{ here: StorePath[]; elsewhere: StorePath[] }> {
  const { signal, onEvent } = options
  const here: StorePath[] = []
  const elsewhere: StorePath[] = []
  try {
    for (const root of roots) {
      const known = await source.pathInfo(root, signal ? { signal } : {})
      if (known === undefined) elsewhere.push(root)
      else here.push(root)
    }
    return { here, elsewhere }
  } catch (error) {
    signal?.throwIfAborted()
    onEvent?.({
      type: 'source-failed',
      source: source.name,
      code: errorCode(error),
      message: errorMessage(error),
    })
    return { here: [], elsewhere: [...roots] }
  }
}

function fromDaemon(
  store: PackageStore,
  source: PackageSource,
  roots: readonly StorePath[],
  { single }: AddRequest,
  { signal, onEvent }: AddOptions,
): Promise<Result> {
  return addPackages(store, source, roots, { single, ...(signal && { signal }), ...(onEvent && { onEvent }) })
}

async function pull(
  { puller }: Replication,
  roots: readonly StorePath[],
  options: AddOptions,
  from?: readonly SourceLink[],
): Promise<Result> {
  const hashes = roots.map(({ hash }) => hash)
  const { added, present, bytes } = await puller.pull(hashes, { ...options, ...(from && { from }) })
  return { paths: added + present, added, present, bytes }
}

function sum(a: Result, b: Result): Result {
  return {
    paths: a.paths + b.paths,
    added: a.added + b.added,
    present: a.present + b.present,
    bytes: a.bytes + b.bytes,
  }
}
