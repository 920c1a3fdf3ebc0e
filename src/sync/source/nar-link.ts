import { concurrently } from '../../ingest/concurrently.ts'
import type { SecretKey } from '../../nix/signature.ts'
import type { PackageStore } from '../../store/api.ts'
import type { GachixError } from '../../util/errors.ts'
import type { AbortOptions } from '../../util/lifecycle.ts'
import { provenNar } from '../admit/proven-nar.ts'
import { checkTrust, UntrustedPackageError } from '../admit/trust.ts'
import { vouchedFor } from '../admit/vouched-for.ts'
import { NARS_AT_ONCE, QUESTIONS_AT_ONCE } from '../limits.ts'
import { HealthRecord } from './health.ts'
import type { FetchOptions, Findings, Found, SourceLink } from './link.ts'
import type { NarSource, Source } from './source.ts'

/** A source that gives NARs: a Nix daemon, a builder, an upstream cache. */
export class NarLink implements SourceLink {
  readonly source: Source & NarSource
  readonly health = new HealthRecord()
  readonly #store: PackageStore
  readonly #key: SecretKey

  /** @param key signs what is believed because the source is */
  constructor(source: Source & NarSource, store: PackageStore, key: SecretKey) {
    this.source = source
    this.#store = store
    this.#key = key
  }

  mayHave(): boolean {
    return true
  }

  judge(): void {}

  async find(hashes: readonly string[], options: AbortOptions): Promise<Findings> {
    const { name, trust, packages } = this.source
    const found = new Map<string, Found>()
    const refused: GachixError[] = []
    await concurrently(hashes, QUESTIONS_AT_ONCE, async (hash) => {
      const info = await packages.pathInfo(hash, options)
      if (info === undefined) return
      try {
        found.set(hash, vouchedFor(info, checkTrust(info, name, trust), this.#key))
      } catch (error) {
        if (!(error instanceof UntrustedPackageError)) throw error
        refused.push(error)
      }
    })
    return { found, refused }
  }

  /** Size and hash of every NAR are compared by the ingest session, which makes tree and commit itself. */
  async fetch(
    packages: readonly Found[],
    _others: readonly SourceLink[],
    options: FetchOptions,
  ): Promise<void> {
    const session = this.#store.ingest()
    try {
      await concurrently(packages, NARS_AT_ONCE, async (found) => {
        const { info } = found
        await session.add(info, this.#nar(found, options), pass(options))
        this.health.packages++
        this.health.narBytes += info.narSize
        options.onPackage(info)
      })
    } catch (error) {
      // What is complete with its references stays, so that the next attempt need not fetch it again.
      if (options.signal?.aborted !== true) await session.finish().catch(() => {})
      await session.abort()
      throw error
    }
    options.onPublishing()
    await session.finish()
  }

  async close(): Promise<void> {}

  async *#nar(found: Found, options: FetchOptions): AsyncGenerator<Uint8Array> {
    const nar = this.source.packages.nar(found.info, pass(options))
    for await (const chunk of provenNar(found.info, found.proof, nar)) {
      this.health.bytesReceived += chunk.length
      options.onBytes(chunk.length)
      yield chunk
    }
  }
}

function pass({ signal }: AbortOptions): AbortOptions {
  return signal === undefined ? {} : { signal }
}
