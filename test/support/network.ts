/**
 * Several hosts on one machine: network namespaces with an address each, on one switch that this machine is on as well. Only
 * addresses of these hosts are ever talked to.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { attempt, run, stopChild } from './process.ts'

const SLOW_WIRE = join(import.meta.dirname, 'slow-wire.pl')

export interface NetworkOptions {
  /** Milliseconds that a packet takes from one host to another. */
  readonly delay?: number
  /** The part of the packets that is lost on that way, from 0 up to 1. */
  readonly loss?: number
}

/** One host of a network. */
export class Host {
  readonly name: string
  readonly address: string
  readonly #namespace: string
  /** The network device of its cable's other end, which sticks in the switch. */
  readonly port: string
  readonly #switch: string

  constructor(name: string, address: string, namespace: string, port: string, switchName: string) {
    this.name = name
    this.address = address
    this.#namespace = namespace
    this.port = port
    this.#switch = switchName
  }

  /** The command line that runs `command` on this host. */
  command(command: readonly string[]): string[] {
    return ['/bin/ip', 'netns', 'exec', this.#namespace, ...command]
  }

  /** Moves this host's cable to another switch. */
  async moveTo(switchName: string): Promise<void> {
    await run('ip', ['link', 'set', this.port, 'master', switchName])
  }

  /** Pulls the plug: what is sent to or by this host vanishes, and nobody is told. */
  async unplug(): Promise<void> {
    await run('ip', ['link', 'set', this.port, 'nomaster'])
  }

  async plug(): Promise<void> {
    await run('ip', ['link', 'set', this.port, 'master', this.#switch])
  }
}

export class Network implements AsyncDisposable {
  readonly #id: string
  readonly #subnet: string
  readonly #options: NetworkOptions
  readonly #namespaces: string[] = []
  readonly #wires: ChildProcess[] = []
  #hosts = 0

  private constructor(id: string, subnet: string, options: NetworkOptions) {
    this.#id = id
    this.#subnet = subnet
    this.#options = options
  }

  /** A switch of its own, with this machine at `.254`. Needs root. */
  static async create(options: NetworkOptions = {}): Promise<Network> {
    for (let tries = 0; ; tries++) {
      const number = 1 + Math.floor(Math.random() * 250)
      const id = `gx${number}`
      const made = await attempt('ip', ['link', 'add', `${id}sw`, 'type', 'bridge'])
      if (made.code !== 0) {
        if (tries < 20 && /exists/.test(made.stderr)) continue
        throw new Error(`no network of its own can be had here (it takes root): ${made.stderr.trim()}`)
      }
      // Its own one, or it would be that of a port, and change when that port's cable is pulled: nobody would find this machine.
      await run('ip', ['link', 'set', `${id}sw`, 'address', '02:67:78:00:00:01'])
      const network = new Network(id, `10.77.${number}`, options)
      await run('ip', ['addr', 'add', `${network.#subnet}.254/24`, 'dev', `${id}sw`])
      await run('ip', ['link', 'set', `${id}sw`, 'up'])
      return network
    }
  }

  async host(name: string): Promise<Host> {
    const number = ++this.#hosts
    const namespace = `${this.#id}-${name}`
    const port = `${this.#id}p${number}`
    const address = `${this.#subnet}.${number}`
    await run('ip', ['netns', 'add', namespace])
    this.#namespaces.push(namespace)
    await this.#cable(port, namespace)
    await run('ip', ['link', 'set', port, 'master', `${this.#id}sw`, 'up'])
    await run('ip', ['-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
    for (const device of ['lo', 'eth0']) await run('ip', ['-n', namespace, 'link', 'set', device, 'up'])
    return new Host(name, address, namespace, port, `${this.#id}sw`)
  }

  /** Cuts the network in two: these hosts reach each other, and neither the others nor this machine. */
  async split(hosts: readonly Host[]): Promise<void> {
    const other = `${this.#id}sx`
    await run('ip', ['link', 'add', other, 'type', 'bridge'])
    await run('ip', ['link', 'set', other, 'up'])
    for (const host of hosts) await host.moveTo(other)
  }

  /** Makes the network whole again after `split`. */
  async heal(hosts: readonly Host[]): Promise<void> {
    for (const host of hosts) await host.plug()
    await run('ip', ['link', 'del', `${this.#id}sx`])
  }

  /** Connects a port of the switch to `eth0` of a host. */
  async #cable(port: string, namespace: string): Promise<void> {
    const { delay = 0, loss = 0 } = this.#options
    if (delay === 0 && loss === 0) {
      await run('ip', ['link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace])
      return
    }
    // From one host to another it is two cables.
    const cable = [port, `${port}h`, String(delay / 2), String(1 - Math.sqrt(1 - loss))]
    const wire = spawn('perl', [SLOW_WIRE, ...cable], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#wires.push(wire)
    await Promise.race([
      once(wire.stdout, 'data'),
      once(wire, 'exit').then(([code]) => {
        throw new Error(`no slow cable can be had here: exit ${code}`)
      }),
    ])
    await run('ip', ['link', 'set', `${port}h`, 'netns', namespace, 'name', 'eth0'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const wire of this.#wires) await stopChild(wire)
    for (const namespace of this.#namespaces) {
      await attempt('ip', ['netns', 'del', namespace])
      await rm(`/run/netns/${namespace}`, { force: true })
    }
    for (const name of ['sw', 'sx']) await attempt('ip', ['link', 'del', `${this.#id}${name}`])
  }
}
