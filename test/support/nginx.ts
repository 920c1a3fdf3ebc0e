/** nginx with a configuration of its own, serving folders from the disk: the yardstick. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attempt, collectOutput, freePort, stopChild, until } from './process.ts'

export interface NginxOptions {
  /** Address that it listens on; default 127.0.0.1. */
  readonly address?: string
  /** Puts the server's command line into another, for instance one that runs it on another host. */
  readonly wrap?: (command: readonly string[]) => readonly string[]
}

export class Nginx implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #address: string
  readonly #ports: readonly number[]

  private constructor(child: ChildProcess, address: string, ports: readonly number[]) {
    this.#child = child
    this.#address = address
    this.#ports = ports
  }

  /** Serves each folder on a port of its own, in their order. */
  static async start(folders: readonly string[], options: NginxOptions = {}): Promise<Nginx> {
    const { address = '127.0.0.1', wrap = (command) => command } = options
    const home = await mkdtemp(join(tmpdir(), 'nginx-'))
    await mkdir(join(home, 'temp'))
    const ports: number[] = []
    for (const _ of folders) ports.push(await freePort())
    const file = join(home, 'nginx.conf')
    await writeFile(file, configuration(home, folders, address, ports))
    // The process takes nginx with it, however it ends; on SIGTERM the master stops its workers at once.
    const server = ['nginx', '-c', file, '-p', home, '-e', join(home, 'error.log')]
    const command = ['--pdeathsig', 'TERM', ...wrap(server)]
    const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] })
    const output = collectOutput(child)
    const nginx = new Nginx(child, address, ports)
    await until(
      () => `nginx: ${output()}`,
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`nginx ended: ${output()}`)
        const response = await fetch(`${nginx.url(folders.length - 1)}/nix-cache-info`).catch(() => undefined)
        await response?.arrayBuffer()
        return response?.status === 200 ? true : undefined
      },
    )
    return nginx
  }

  /** nginx's version, for instance `1.22.1`. */
  static async version(): Promise<string> {
    const { stderr } = await attempt('nginx', ['-v'])
    return stderr.trim().split('/').at(-1)!
  }

  /** Of the master; the workers are its children. */
  get pid(): number {
    return this.#child.pid!
  }

  /** URL of a folder, without a slash at the end. */
  url(folder: number): string {
    return `http://${this.#address}:${this.#ports[folder]}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopChild(this.#child)
  }
}

/** Static files as nginx does them best: one worker a core, `sendfile`, no logs, connections kept. */
function configuration(
  home: string,
  folders: readonly string[],
  address: string,
  ports: readonly number[],
): string {
  const servers = folders.map(
    (folder, index) => `  server {
    listen ${address}:${ports[index]} backlog=1024;
    root ${folder};
  }`,
  )
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${join(home, 'temp', kind)};`,
  )
  return `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes auto;
pid ${join(home, 'pid')};
error_log ${join(home, 'error.log')};
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 75s;
  keepalive_requests 100000000;
${[...temporary, ...servers].join('\n')}
}
`
}
