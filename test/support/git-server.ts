/** A package store of its own, served over HTTP with its Git side, and what `git` makes of it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createHttpServer, type HttpServer, type HttpServerSettings } from '../../src/http/server.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { type Logger, silentLogger } from '../../src/util/log.ts'
import { chunksOf, type MadePackage } from './packages.ts'
import { attempt, type RunResult, run } from './process.ts'

export interface GitServerOptions {
  readonly packages?: readonly MadePackage[]
  /** Called before the store is opened, with the path of the repository. */
  readonly prepare?: (path: string) => Promise<void>
  readonly timeouts?: HttpServerSettings['timeouts']
  readonly logger?: Logger
}

export class GitServer {
  /** A folder for clones, removed with the test. */
  readonly folder: string
  readonly store: GitPackageStore
  readonly server: HttpServer

  private constructor(folder: string, store: GitPackageStore, server: HttpServer) {
    this.folder = folder
    this.store = store
    this.server = server
  }

  /** Runs until the test ends. */
  static async start(t: TestContext, options: GitServerOptions = {}): Promise<GitServer> {
    const folder = await mkdtemp(join(tmpdir(), 'gachix-git-server-'))
    const path = join(folder, 'served.git')
    if (options.prepare !== undefined) await options.prepare(path)
    const store = await GitPackageStore.open({ path })
    const settings = { host: '127.0.0.1', port: 0, priority: 30, wantMassQuery: true, maxTransfers: 8 }
    const timeouts = { stop: 500, ...options.timeouts }
    const server = createHttpServer({
      store,
      git: store.git,
      keys: [],
      settings: { ...settings, timeouts },
      logger: options.logger ?? silentLogger,
      version: '1.2.3',
    })
    await server.start()
    // In one hook, because hooks run in the order in which they are made.
    t.after(async () => {
      await server.stop()
      await store.close()
      await rm(folder, { recursive: true, force: true })
    })
    const started = new GitServer(folder, store, server)
    await started.publish(options.packages ?? [])
    return started
  }

  get url(): string {
    return `${this.server.url}/git`
  }

  async publish(packages: readonly MadePackage[]): Promise<void> {
    const session = this.store.ingest()
    for (const { info, nar } of packages) await session.add(info, chunksOf(nar))
    await session.finish()
  }

  /** A place for a clone. */
  place(name: string): string {
    return join(this.folder, name)
  }

  /** `git ARGS` to its end, untouched by the machine's configuration. */
  attempt(args: readonly string[], version = 2): Promise<RunResult> {
    return attempt('git', ['-c', `protocol.version=${version}`, ...args], {
      env: this.#env,
      cwd: this.folder,
    })
  }

  /** `git ARGS`; gives its output. Throws unless it ends well. */
  async git(args: readonly string[], version = 2): Promise<string> {
    const command = ['-c', `protocol.version=${version}`, ...args]
    return (await run('git', command, { env: this.#env, cwd: this.folder })).toString().trim()
  }

  /** Every object of a repository, `id type` each, sorted. */
  async objects(repository: string): Promise<string[]> {
    const format = '--batch-check=%(objectname) %(objecttype)'
    const args = ['-C', repository, 'cat-file', '--batch-all-objects', '--unordered', format]
    return [...new Set((await this.git(args)).split('\n'))].sort()
  }

  get #env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env.PATH,
      HOME: this.folder,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      // Fetching by id must not ask for more on its own.
      GIT_NO_LAZY_FETCH: '1',
      LC_ALL: 'C.UTF-8',
    }
  }
}
