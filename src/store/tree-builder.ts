import type { Oid } from '../git/oid.ts'
import type { PackWriter } from '../git/pack/writer.ts'
import { encodeTree, type TreeEntry, type TreeMode } from '../git/tree.ts'
import type { NarHandler } from '../nix/nar/handler.ts'
import { SINGLE_FILE, toGitName } from './names.ts'

export const MODE = { directory: '40000', file: '100644', executable: '100755', symlink: '120000' } as const

interface OpenDirectory {
  readonly entries: TreeEntry[]
  /** Name of the entry whose node comes next. */
  name: Buffer | undefined
}

/**
 * Writes the nodes of a NAR as Git blobs and trees, in NAR order: fed by a `NarReader`, it ends with the id of the
 * package's tree. A NAR that is a single file or symbolic link becomes a tree with the one entry `gachix-single-file`.
 */
export class TreeBuilder implements NarHandler {
  readonly #pack: PackWriter
  readonly #open: OpenDirectory[] = []
  #executable = false
  #root: Oid | undefined

  constructor(pack: PackWriter) {
    this.#pack = pack
  }

  /** Id of the package's tree, once the NAR is complete. */
  get root(): Oid {
    if (this.#root === undefined) throw new Error('the NAR is not complete')
    return this.#root
  }

  directoryStart(): void {
    this.#open.push({ entries: [], name: undefined })
  }

  entry(name: Buffer): void {
    this.#open.at(-1)!.name = Buffer.from(name)
  }

  directoryEnd(): void {
    const oid = this.#pack.object('tree', encodeTree(this.#open.pop()!.entries))
    if (this.#open.length === 0) this.#root = oid
    else this.#node(MODE.directory, oid)
  }

  fileStart(executable: boolean, size: number): void {
    this.#executable = executable
    this.#pack.blobStart(size)
  }

  fileData(chunk: Uint8Array): void {
    this.#pack.blobData(chunk)
  }

  fileEnd(): void {
    this.#node(this.#executable ? MODE.executable : MODE.file, this.#pack.blobEnd())
  }

  symlink(target: Buffer): void {
    this.#node(MODE.symlink, this.#pack.object('blob', target))
  }

  #node(mode: TreeMode, oid: Oid): void {
    const directory = this.#open.at(-1)
    if (directory === undefined) {
      this.#root = this.#pack.object('tree', encodeTree([{ mode, name: SINGLE_FILE, oid }]))
      return
    }
    const context = { root: this.#open.length === 1, type: entryType(mode) }
    directory.entries.push({ mode, name: toGitName(directory.name!, context), oid })
  }
}

/** What kind of node a tree entry of this mode is. */
export function entryType(mode: TreeMode): 'file' | 'symlink' | 'directory' {
  if (mode === MODE.directory) return 'directory'
  return mode === MODE.symlink ? 'symlink' : 'file'
}
