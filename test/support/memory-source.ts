/** Packages of one small file each, made up by the test: closures of any shape, complete or not. */
import { createHash } from 'node:crypto'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { compareStorePaths, StorePath } from '../../src/nix/store-path.ts'
import type { PackageSource } from '../../src/store/api.ts'
import { fileNar } from './daemon-peer.ts'

const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz'

/** The store path of a made-up package: the same name gives the same path. */
export function storePathOf(name: string): StorePath {
  const digest = createHash('sha256').update(name).digest()
  return new StorePath([...digest].map((byte) => DIGITS[byte % 32]).join(''), name)
}

/** A source that holds its packages in memory and notes what it is asked. */
export class MemorySource implements PackageSource {
  readonly name = 'memory'
  /** Names of the packages whose path info was asked for, in order. */
  readonly asked: string[] = []
  /** Names of the packages whose NAR was read, in order. */
  readonly read: string[] = []
  /** The most questions that were open at once. */
  mostAtOnce = 0
  readonly #packages = new Map<string, { info: PathInfo; nar: Buffer }>()
  readonly #delay: (name: string) => Promise<void>
  #atOnce = 0

  /**
   * @param references names of the packages, and what each refers to
   * @param delay waits before the answer about a package
   */
  constructor(references: Readonly<Record<string, readonly string[]>>, delay = async (_name: string) => {}) {
    this.#delay = delay
    for (const [name, names] of Object.entries(references)) {
      const nar = fileNar(`contents of ${name}`)
      const info: PathInfo = {
        storePath: storePathOf(name),
        narHash: { algorithm: 'sha256', digest: createHash('sha256').update(nar).digest() },
        narSize: nar.length,
        references: names.map(storePathOf).sort(compareStorePaths),
        signatures: [],
      }
      this.#packages.set(info.storePath.baseName, { info, nar })
    }
  }

  /** Has the source send other bytes than it announces. */
  corrupt(name: string): void {
    const found = this.#packages.get(storePathOf(name).baseName)
    if (found) found.nar = fileNar(`CONTENTS OF ${name}`)
  }

  async pathInfo(path: StorePath | string): Promise<PathInfo | undefined> {
    const text = String(path)
    const found = [...this.#packages.values()].find(
      ({ info }) => info.storePath.toString() === text || info.storePath.hash === text,
    )
    if (found) this.asked.push(found.info.storePath.name)
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce)
    try {
      await this.#delay(typeof path === 'string' ? path : path.name)
    } finally {
      this.#atOnce--
    }
    return found?.info
  }

  async *nar(info: PathInfo): AsyncGenerator<Uint8Array, void, undefined> {
    this.read.push(info.storePath.name)
    yield this.#packages.get(info.storePath.baseName)!.nar
  }
}
