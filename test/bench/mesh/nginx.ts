/** `nix copy` from a file cache (zstd) behind nginx, signatures required. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Nginx } from '../../support/nginx.ts'
import { nixEnvironment } from '../../support/nix.ts'
import { run } from '../../support/process.ts'
import type { Contender, Wanted } from './contender.ts'
import type { Place } from './place.ts'
import { checkStore } from './ssh.ts'

const PATIENCE = 3600_000

export class NginxContender implements Contender {
  readonly name = 'nix copy, nginx (zstd)'
  readonly givers: readonly number[]
  readonly #place: Place
  readonly #url: string
  readonly #publicKey: string
  #folder = ''
  #env: NodeJS.ProcessEnv = {}

  constructor(place: Place, nginx: Nginx, publicKey: string) {
    this.#place = place
    this.#url = nginx.url(0)
    this.givers = [nginx.pid]
    this.#publicKey = publicKey
  }

  async prepare(): Promise<void> {
    if (this.#folder !== '') await rm(this.#folder, { recursive: true, force: true })
    this.#folder = await mkdtemp(join(tmpdir(), 'taker-'))
    this.#env = await nixEnvironment(this.#folder)
  }

  takers(): number[] {
    return []
  }

  async pull({ roots }: Wanted): Promise<void> {
    const keys = ['--option', 'require-sigs', 'true', '--option', 'trusted-public-keys', this.#publicKey]
    const command = [
      'nix',
      'copy',
      '--from',
      this.#url,
      '--to',
      join(this.#folder, 'root'),
      ...keys,
      ...roots,
    ]
    const [program, ...args] = this.#place.taker.command(command)
    await run(program!, args, { env: this.#env, timeout: PATIENCE })
  }

  async check(packages: number): Promise<void> {
    await checkStore(this.name, join(this.#folder, 'root'), this.#env, packages)
  }
}
