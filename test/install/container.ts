/**
 * Runs an image as a careful engine would, with what the kernel gives: namespaces of its own, a read-only root, the image's user
 * without any capability, process 1 being the node.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { chown, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attempt, collectOutput, type RunResult, runLines, until } from '../support/process.ts'
import type { Image } from './image.ts'

/** Prepares the root in a mount namespace: `/data` and nothing else can be written to. */
const PREPARE = `
set -e
root=$1 data=$2 socket=$3; shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 none "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t tmpfs -o mode=0755 none "$root/mnt"
touch "$root/mnt/nix-daemon"; mount --bind "$socket" "$root/mnt/nix-daemon"
mount --bind "$data" "$root/data"
mount -o remount,ro "$root/mnt"; mount -o remount,ro "$root/dev"
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
`

export interface ContainerOptions {
  readonly env: Readonly<Record<string, string>>
  /** Socket of a Nix daemon, which is /mnt/nix-daemon inside. */
  readonly daemonSocket: string
}

export class Container implements AsyncDisposable {
  readonly child: ChildProcess
  readonly output: () => string
  readonly #image: Image
  readonly #env: readonly string[]
  readonly #data: string
  #pid: string | undefined

  private constructor(image: Image, env: readonly string[], data: string, socket: string) {
    this.#image = image
    this.#env = env
    this.#data = data
    const { Entrypoint, Cmd } = image.config
    const namespaces = [
      '--mount',
      '--propagation',
      'private',
      '--pid',
      '--ipc',
      '--uts',
      '--fork',
      '--kill-child',
    ]
    const prepare = ['sh', '-c', PREPARE, 'sh', image.root, data, socket]
    const command = [...prepare, ...this.#asUser([...Entrypoint, ...Cmd])]
    this.child = spawn('unshare', [...namespaces, ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.output = collectOutput(this.child)
  }

  static async start(image: Image, options: ContainerOptions): Promise<Container> {
    const data = await mkdtemp(join(tmpdir(), 'gachix-data-'))
    const [uid, gid] = image.config.User.split(':').map(Number)
    await chown(data, uid!, gid!)
    const variables = Object.entries(options.env).map(([name, value]) => `${name}=${value}`)
    return new Container(image, [...image.config.Env, ...variables], data, options.daemonSocket)
  }

  /** Runs a command beside process 1, as `docker exec` does. */
  async exec(command: readonly string[]): Promise<RunResult> {
    const enter = ['--target', await this.pid(), '--mount', '--pid', '--ipc', '--root']
    return attempt('nsenter', [...enter, ...this.#asUser(command)])
  }

  /** Facts of `/proc/PID/status` of the container's process 1. */
  async status(): Promise<string> {
    return readFile(`/proc/${await this.pid()}/status`, 'utf8')
  }

  /** Number of process 1 as this machine counts. */
  async pid(): Promise<string> {
    this.#pid ??= await until(
      () => `the container: ${this.output()}`,
      async () =>
        (await runLines('ps', ['-o', 'pid=', '--ppid', String(this.child.pid)]).catch(() => []))[0]?.trim(),
    )
    return this.#pid
  }

  /** Sends the image's stop signal to process 1. */
  async stop(): Promise<void> {
    process.kill(Number(await this.pid()), this.#image.config.StopSignal as NodeJS.Signals)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await rm(this.#data, { recursive: true, force: true })
  }

  #asUser(command: readonly string[]): string[] {
    const [uid, gid] = this.#image.config.User.split(':')
    const drop = ['--clear-groups', '--no-new-privs', '--inh-caps=-all', '--bounding-set=-all']
    const environment = ['env', '-i', '-C', this.#image.config.WorkingDir, ...this.#env]
    return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, ...drop, ...environment, ...command]
  }
}
