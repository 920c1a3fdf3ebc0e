/** Through SSH: `git fetch` of the same refs, and `nix copy` from the store's own daemon. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hashPart } from '../../support/narinfo.ts'
import { nixEnvironment } from '../../support/nix.ts'
import { sessionOf } from '../../support/nix-facts.ts'
import { run } from '../../support/process.ts'
import { type Sshd, startSshd } from '../../support/sshd.ts'
import type { PackageSet } from '../package-set.ts'
import { childrenOf } from '../process-stats.ts'
import type { Contender, Wanted } from './contender.ts'
import type { Place } from './place.ts'

const PATIENCE = 3600_000

/** An sshd on the giver's host. `inside` puts the server into the namespace of a Nix store. */
export async function startGiverSshd(place: Place, inside?: PackageSet): Promise<Sshd> {
  const { giver } = place
  return startSshd({
    address: giver.address,
    wrap: (command) => giver.command(inside === undefined ? command : inside.store.commandInside(command)),
    acceptEnv: ['GIT_PROTOCOL'],
    ...(inside !== undefined && {
      setEnv: sessionOf(inside.store),
    }),
  })
}

/** The process of an sshd that was started last. */
export function sshdPid(): number {
  const pid = childrenOf(process.pid).at(-1)
  if (pid === undefined) throw new Error('sshd has ended')
  return pid
}

abstract class SshContender implements Contender {
  abstract readonly name: string
  readonly givers: readonly number[]
  protected readonly place: Place
  protected readonly sshd: Sshd
  protected folder = ''

  constructor(place: Place, sshd: Sshd, pid: number) {
    this.place = place
    this.sshd = sshd
    this.givers = [pid]
  }

  async prepare(): Promise<void> {
    if (this.folder !== '') await rm(this.folder, { recursive: true, force: true })
    this.folder = await mkdtemp(join(tmpdir(), 'taker-'))
  }

  takers(): number[] {
    return []
  }

  abstract pull(wanted: Wanted): Promise<void>
  abstract check(packages: number): Promise<void>

  /** Runs a program on the taker's host. */
  protected async onTaker(
    command: readonly string[],
    env: NodeJS.ProcessEnv,
    input?: string,
  ): Promise<Buffer> {
    const [program, ...args] = this.place.taker.command(command)
    return run(program!, args, { env, timeout: PATIENCE, ...(input !== undefined && { input }) })
  }
}

/** `git fetch` of a closure's refs into a bare repository. */
export class GitContender extends SshContender {
  readonly name = 'git fetch, ssh'
  readonly #repository: string

  constructor(place: Place, sshd: Sshd, pid: number, repository: string) {
    super(place, sshd, pid)
    this.#repository = repository
  }

  override async prepare(): Promise<void> {
    await super.prepare()
    await run('git', ['init', '-q', '--bare', this.folder])
  }

  async pull({ closure }: Wanted): Promise<void> {
    const { host, port, user, clientKey, program } = this.sshd
    const refs = closure.map(({ path }) => `refs/${hashPart(path)}/*`)
    const url = `ssh://${user}@${host}:${port}${this.#repository}`
    const command = [
      'git',
      '-C',
      this.folder,
      'fetch',
      '-q',
      '--no-tags',
      '--no-auto-maintenance',
      '--stdin',
      url,
    ]
    const env = { PATH: process.env.PATH, HOME: this.folder, GIT_SSH_COMMAND: `${program} -i ${clientKey}` }
    await this.onTaker(command, env, refs.map((ref) => `${ref}:${ref}\n`).join(''))
  }

  async check(packages: number): Promise<void> {
    const refs = (await run('git', ['-C', this.folder, 'for-each-ref', 'refs/*/narinfo'])).toString()
    const found = refs.split('\n').filter(Boolean).length
    if (found !== packages) throw new Error(`${this.name}: ${found} of ${packages} packages`)
  }
}

/** `nix copy` from another machine's daemon into an empty store. */
export class NixSshContender extends SshContender {
  readonly name = 'nix copy, ssh-ng'
  #env: NodeJS.ProcessEnv = {}

  override async prepare(): Promise<void> {
    await super.prepare()
    const { program, clientKey } = this.sshd
    this.#env = {
      ...(await nixEnvironment(this.folder)),
      PATH: `${program.replace(/\/ssh$/, '')}:${process.env.PATH}`,
      NIX_SSHOPTS: `-i ${clientKey} -p ${this.sshd.port}`,
    }
  }

  async pull({ roots }: Wanted): Promise<void> {
    const { host, user } = this.sshd
    const command = ['nix', 'copy', '--no-check-sigs', '--from', `ssh-ng://${user}@${host}`]
    await this.onTaker([...command, '--to', join(this.folder, 'root'), ...roots], this.#env)
  }

  async check(packages: number): Promise<void> {
    await checkStore(this.name, join(this.folder, 'root'), this.#env, packages)
  }
}

/** Fails unless a store has so many paths. */
export async function checkStore(
  name: string,
  root: string,
  env: NodeJS.ProcessEnv,
  packages: number,
): Promise<void> {
  const paths = await run('nix', ['path-info', '--all', '--store', root], { env })
  const found = paths.toString().split('\n').filter(Boolean).length
  if (found !== packages) throw new Error(`${name}: ${found} of ${packages} packages`)
}
