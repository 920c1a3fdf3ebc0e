/**
 * What passes between a node and the service manager that started it, in systemd's protocols: listening sockets that it
 * hands over (sd_listen_fds(3)), the word that the node is ready or stopping (sd_notify(3)), and signs of life for its
 * watchdog (sd_watchdog_enabled(3)). Where no such manager runs, all of it does nothing.
 *
 * Node has no datagram sockets of the unix kind, on which these messages go, so the program `systemd-notify` sends
 * them. The unit therefore needs `NotifyAccess=all`: the messages come from a child of the node.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { errorMessage } from './util/errors.ts'
import type { Logger } from './util/log.ts'

/** The first descriptor that is handed over, by the protocol. */
const FIRST_SOCKET = 3
/** Sockets that are taken from the manager; a unit names one or two. */
const MAX_SOCKETS = 16
/** A message that takes longer is given up, in milliseconds: the node must not wait for its manager. */
const SEND_LIMIT = 5_000
const HELPER = 'systemd-notify'

export interface ServiceManagerComponents {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logger: Logger
}

export class ServiceManager {
  /** Descriptors of the listening sockets that were handed over, all of them for HTTP. */
  readonly sockets: readonly number[]
  readonly #env: Readonly<Record<string, string | undefined>>
  readonly #logger: Logger
  #watchdog: NodeJS.Timeout | undefined
  #warned = false

  constructor({ env, logger }: ServiceManagerComponents) {
    this.#env = env
    this.#logger = logger
    this.sockets = inheritedSockets(env)
  }

  /** Says that the node serves, and from now on that it lives, twice in each period of the watchdog. */
  async ready(status: string): Promise<void> {
    await this.#send('READY=1', `STATUS=${status}`)
    const period = watchdogPeriod(this.#env)
    if (period === undefined) return
    // The event loop is what can hang in a node, and a timer proves that it does not.
    this.#watchdog = setInterval(() => void this.#send('WATCHDOG=1'), period / 2)
    this.#watchdog.unref()
  }

  /** Says that the node has begun to stop. The signs of life end. */
  async stopping(): Promise<void> {
    clearInterval(this.#watchdog)
    await this.#send('STOPPING=1', 'STATUS=waiting for running transfers')
  }

  async #send(...assignments: string[]): Promise<void> {
    const { NOTIFY_SOCKET, PATH } = this.#env
    if (!NOTIFY_SOCKET) return
    try {
      const helper = spawn(HELPER, assignments, {
        env: { NOTIFY_SOCKET, PATH },
        stdio: 'ignore',
        timeout: SEND_LIMIT,
        killSignal: 'SIGKILL',
      })
      const [code, signal] = (await once(helper, 'exit')) as [number | null, NodeJS.Signals | null]
      if (code !== 0) this.#warn(`it ended with ${code ?? signal}`)
    } catch (error) {
      this.#warn(errorMessage(error))
    }
  }

  #warn(reason: string): void {
    if (this.#warned) return
    this.#warned = true
    this.#logger.warn(`the service manager cannot be told how this node is doing by ${HELPER}: ${reason}`)
  }
}

/** The variables count only for the process that they name: a child of it inherits them without the sockets. */
function inheritedSockets(env: Readonly<Record<string, string | undefined>>): number[] {
  if (Number(env.LISTEN_PID) !== process.pid) return []
  const count = Number(env.LISTEN_FDS)
  if (!Number.isInteger(count) || count < 0 || count > MAX_SOCKETS) return []
  return Array.from({ length: count }, (_, index) => FIRST_SOCKET + index)
}

/** Milliseconds within which the manager wants a sign of life; `undefined` when it wants none. */
function watchdogPeriod(env: Readonly<Record<string, string | undefined>>): number | undefined {
  if (env.WATCHDOG_PID !== undefined && Number(env.WATCHDOG_PID) !== process.pid) return undefined
  const microseconds = Number(env.WATCHDOG_USEC)
  return Number.isSafeInteger(microseconds) && microseconds > 0 ? microseconds / 1000 : undefined
}
