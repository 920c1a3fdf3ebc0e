/** Further caches to measure beside the product, brought by whoever runs the benchmark. */
import { type ChildProcess, spawn } from 'node:child_process'
import { collectOutput, freePort, stopChild, until } from '../support/process.ts'
import type { PackageSet } from './package-set.ts'
import { openCache, type ServedCache } from './served-cache.ts'

/**
 * Commands of other caches, as JSON: `[{"name": "…", "command": "…", "compression": "none"}]`. Each is run by `sh` where the
 * set's store is `/nix`, with `PORT` in its environment, where it is to listen on 127.0.0.1 in the foreground; `compression` is what
 * its narinfos say.
 */
const VARIABLE = 'GACHIX_BENCH_CACHES'

interface OtherCache {
  readonly name: string
  readonly command: string
  readonly compression: string
}

export class OtherCaches implements AsyncDisposable {
  readonly caches: ServedCache[] = []
  readonly #children: ChildProcess[] = []

  /** Starts those that the environment names; none when it names none. */
  static async start(set: PackageSet): Promise<OtherCaches> {
    const others = new OtherCaches()
    try {
      for (const cache of JSON.parse(process.env[VARIABLE] ?? '[]') as OtherCache[])
        await others.#start(set, cache)
    } catch (error) {
      await others[Symbol.asyncDispose]()
      throw error
    }
    return others
  }

  async #start(set: PackageSet, { name, command, compression }: OtherCache): Promise<void> {
    const port = await freePort()
    const script = 'mkdir -p /nix && mount --bind "$0/nix" /nix && exec sh -c "exec $1"'
    const inside = ['--mount', '--propagation', 'private', 'sh', '-c', script, set.store.root, command]
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', 'unshare', ...inside], {
      env: { ...process.env, PORT: String(port), NIX_DAEMON_SOCKET_PATH: set.store.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#children.push(child)
    const output = collectOutput(child)
    const url = `http://127.0.0.1:${port}`
    await until(
      () => `${name}: ${output()}`,
      async () => {
        if (child.exitCode !== null) throw new Error(`${name} ended: ${output()}`)
        const response = await fetch(`${url}/nix-cache-info`).catch(() => undefined)
        await response?.arrayBuffer()
        return response?.status === 200 ? true : undefined
      },
    )
    const where = { name, url, pid: child.pid!, form: 'as named', compression } as const
    this.caches.push(await openCache(where, set.closure))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await stopChild(child)
  }
}
