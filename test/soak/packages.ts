/** New packages without end, in a real Nix store. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { NixStore } from '../support/nix.ts'

/** Names of packages that a node with a list of patterns follows. */
export const FOLLOWED = ['tiny-*', 'diamond-*']
/** Bytes of a large package, from and to. */
const LARGE = [10_000_000, 50_000_000] as const
/** Bytes of all large packages of a run: five nodes keep a copy each, and the store one. */
const MOST_LARGE = 1_500_000_000

export class PackageMaker {
  readonly #store: NixStore
  readonly #folder: string
  readonly #random: () => number
  #number = 0
  #large = 0
  /** What the last large package had: the next one shares it, as two releases of one program do. */
  #shared: Buffer | undefined

  /**
   * @param folder an empty one, for files that go into the store
   */
  constructor(store: NixStore, folder: string, random: () => number) {
    this.#store = store
    this.#folder = folder
    this.#random = random
  }

  /** Makes a package, or a closure of several; its store path. */
  async make(): Promise<string> {
    const number = ++this.#number
    const kind = this.#random()
    if (kind < 0.08 && this.#large < MOST_LARGE) return this.makeLarge()
    if (kind < 0.3) return this.#built('diamond-top', number)
    if (kind < 0.36) return this.#built('crowd', number)
    return this.#files(`tiny-${number}`, this.#tinyFiles(number))
  }

  async makeLarge(): Promise<string> {
    return this.#files(`large-${++this.#number}`, this.#largeFiles())
  }

  async #built(attribute: string, number: number): Promise<string> {
    const [path] = await this.#store.build([attribute], { salt: `soak-${number}` })
    return path!
  }

  async #files(name: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
    const folder = join(this.#folder, name)
    await mkdir(folder)
    for (const [file, contents] of Object.entries(files)) await writeFile(join(folder, file), contents)
    const path = await this.#store.add(folder)
    await rm(folder, { recursive: true })
    return path
  }

  #tinyFiles(number: number): Record<string, Buffer> {
    const files: Record<string, Buffer> = { number: Buffer.from(`${number} ${this.#random()}\n`) }
    const count = 1 + Math.floor(this.#random() * 8)
    for (let index = 0; index < count; index++) files[`file-${index}`] = this.#noise(this.#random() * 8000)
    return files
  }

  #largeFiles(): Record<string, Buffer> {
    const size = LARGE[0] + this.#random() * (LARGE[1] - LARGE[0])
    this.#large += size
    const fresh = this.#noise(size / 2)
    const files = {
      fresh,
      old: this.#shared ?? this.#noise(size / 4),
      text: Buffer.alloc(size / 4, `${this.#random()} is a line that compresses well\n`),
    }
    this.#shared = fresh.subarray(0, fresh.length >> 1)
    return files
  }

  #noise(size: number): Buffer {
    const bytes = Buffer.alloc(4 * Math.ceil(size / 4))
    // Xorshift: the generator of the choices is too slow for megabytes.
    let state = 1 + Math.floor(this.#random() * 0xfffffffe)
    for (let at = 0; at < bytes.length; at += 4) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      bytes.writeInt32LE(state, at)
    }
    return bytes
  }
}
