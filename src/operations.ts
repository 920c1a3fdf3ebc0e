import { type AddingComponents, addFrom } from './adding.ts'
import type {
  AddOptions,
  AddRequest,
  AddSummary,
  NodeStatus,
  PackageDetails,
  PackageOperations,
  PackageSummary,
} from './http/control/api.ts'
import { formatHash } from './nix/hash.ts'
import type { PathInfo } from './nix/path-info.ts'
import { isHashPart, StorePath } from './nix/store-path.ts'
import type { PackageStore } from './store/api.ts'
import type { AbortOptions } from './util/lifecycle.ts'

export interface OperationsComponents extends AddingComponents {
  /** Bytes that the packages take on disk. */
  readonly diskUsage: () => Promise<number>
  readonly status: () => Promise<NodeStatus>
}

/** What can be asked of an open store about its packages. */
export class StoreOperations implements PackageOperations {
  readonly #components: OperationsComponents

  constructor(components: OperationsComponents) {
    this.#components = components
  }

  async add(request: AddRequest, options: AddOptions = {}): Promise<AddSummary> {
    const { diskUsage } = this.#components
    const started = performance.now()
    const before = await diskUsage()
    const result = await addFrom(this.#components, request, options)
    const stored = Math.max(0, (await diskUsage()) - before)
    return { ...result, stored, seconds: Math.round(performance.now() - started) / 1000 }
  }

  async *list(options: AbortOptions = {}): AsyncIterable<PackageSummary> {
    const { store } = this.#components
    for (const { hash } of store.entries()) {
      options.signal?.throwIfAborted()
      const info = await store.pathInfo(hash, options)
      if (info === undefined) continue
      yield {
        hash,
        path: info.storePath.toString(),
        narSize: info.narSize,
        references: info.references.length,
      }
    }
  }

  async info(target: string, options: AbortOptions = {}): Promise<PackageDetails | undefined> {
    const { store } = this.#components
    const path = parseTarget(target, store.storeDir)
    const hash = typeof path === 'string' ? path : path.hash
    const found = await store.package(hash, options)
    if (found === undefined) return undefined
    const { info, tree, commit, gzip } = found
    if (typeof path !== 'string' && !info.storePath.equals(path)) return undefined
    return {
      path: info.storePath.toString(),
      narHash: formatHash(info.narHash, 'nix32'),
      narSize: info.narSize,
      references: info.references.map(String),
      deriver: info.deriver?.toString() ?? null,
      signatures: info.signatures,
      ca: info.ca ?? null,
      tree,
      commit: commit ?? null,
      url: `nar/${tree}.nar`,
      gzip:
        gzip === undefined
          ? null
          : {
              url: `nar/${tree}.${gzip.id}.nar.gz`,
              size: gzip.size,
              sha256: formatHash({ algorithm: 'sha256', digest: gzip.sha256 }, 'nix32'),
            },
      closure: await closureOf(store, info, options),
    }
  }

  async status(): Promise<NodeStatus> {
    return this.#components.status()
  }
}

function parseTarget(target: string, storeDir: string): StorePath | string {
  if (isHashPart(target)) return target
  if (target.includes('/')) return StorePath.containing(target, storeDir)
  return StorePath.fromBaseName(target, storeDir)
}

/** Walks the references as far as they are here. */
async function closureOf(
  store: PackageStore,
  root: PathInfo,
  options: AbortOptions,
): Promise<PackageDetails['closure']> {
  const seen = new Set([root.storePath.hash])
  const open = [root]
  let narSize = 0
  let complete = true
  for (let info = open.pop(); info !== undefined; info = open.pop()) {
    options.signal?.throwIfAborted()
    narSize += info.narSize
    for (const reference of info.references) {
      if (seen.has(reference.hash)) continue
      const next = await store.pathInfo(reference, options)
      if (next === undefined) {
        complete = false
        continue
      }
      seen.add(reference.hash)
      open.push(next)
    }
  }
  return { paths: seen.size, narSize, complete }
}
