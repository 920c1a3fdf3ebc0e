/** Two hosts with a cable between them: who gives is on the one, who takes on the other, and what the cable carries is counted. */
import { readFileSync } from 'node:fs'
import { type Host, Network } from '../../support/network.ts'

export class Place implements AsyncDisposable {
  readonly giver: Host
  readonly taker: Host
  readonly #network: Network

  private constructor(network: Network, giver: Host, taker: Host) {
    this.#network = network
    this.giver = giver
    this.taker = taker
  }

  static async create(): Promise<Place> {
    const network = await Network.create()
    return new Place(network, await network.host('giver'), await network.host('taker'))
  }

  /** Bytes that the taker has received and sent so far, with all headers. */
  wireBytes(): { received: number; sent: number } {
    const { port } = this.taker
    const count = (kind: string) =>
      Number(readFileSync(`/sys/class/net/${port}/statistics/${kind}_bytes`, 'utf8'))
    // Seen from the switch: what it transmits the taker receives.
    return { received: count('tx'), sent: count('rx') }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#network[Symbol.asyncDispose]()
  }
}
