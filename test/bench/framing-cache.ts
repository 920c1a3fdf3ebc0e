/** The yardstick of `framing-server.ts`, running. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { hashPart } from '../support/narinfo.ts'
import { stopChild } from '../support/process.ts'
import type { FramedPackage } from './framing-server.ts'
import type { PackageSet } from './package-set.ts'
import { checkNar, type ServedCache } from './served-cache.ts'

export class FramingCache implements AsyncDisposable {
  readonly cache: ServedCache
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, cache: ServedCache) {
    this.#child = child
    this.cache = cache
  }

  /** Starts it over the set's store, fetches everything once and compares it with what Nix says. */
  static async start(set: PackageSet): Promise<FramingCache> {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'framing-server.ts'), set.store.root], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    try {
      const packages = set.closure.map(({ path, narSize }): FramedPackage => {
        return { path: `/nar/${hashPart(path)}.nar`, storePath: path, narSize }
      })
      child.stdin.end(JSON.stringify(packages))
      const [line] = (await once(child.stdout, 'data')) as [Buffer]
      const port = Number(line.toString())
      const url = `http://127.0.0.1:${port}`
      for (const [i, facts] of set.closure.entries()) await checkNar(url + packages[i]!.path, facts)
      const nars = packages.map(({ path, narSize }) => ({ path, size: narSize }))
      const name = 'plain files framed by Node'
      return new FramingCache(child, { name, url, port, pid: child.pid!, narinfos: [], nars })
    } catch (error) {
      await stopChild(child)
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopChild(this.#child)
  }
}
