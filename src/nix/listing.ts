import type { NarHandler } from './nar/handler.ts'

/** A node of a `.ls` listing. */
export type ListingNode = ListingDirectory | ListingFile | ListingSymlink

export interface ListingDirectory {
  readonly type: 'directory'
  /** Nodes by entry name; has no prototype, so every name is safe. */
  readonly entries: Readonly<Record<string, ListingNode>>
}

export interface ListingFile {
  readonly type: 'regular'
  /** Length of the contents in bytes. */
  readonly size: number
  /** Present only where true. */
  readonly executable?: true
  /** Position of the first content byte in the uncompressed NAR; for an empty file where it would be. */
  readonly narOffset: number
}

export interface ListingSymlink {
  readonly type: 'symlink'
  readonly target: string
}

/** A NAR listing as Nix writes it to `<hash>.ls`, version 1. */
export interface Listing {
  readonly version: 1
  readonly root: ListingNode
}

/**
 * Builds a `.ls` listing from the events of a NAR; whoever has no NAR at hand calls the same methods and computes the
 * offset given to `fileStart`. JSON holds text only, so bytes of names and targets that are not UTF-8 become U+FFFD.
 */
export class ListingBuilder implements NarHandler {
  #root: ListingNode | undefined
  readonly #open: Record<string, ListingNode>[] = []
  #name = ''

  directoryStart(): void {
    const entries: Record<string, ListingNode> = Object.create(null)
    this.#add({ type: 'directory', entries })
    this.#open.push(entries)
  }

  entry(name: Buffer): void {
    this.#name = name.toString('utf8')
  }

  directoryEnd(): void {
    this.#open.pop()
  }

  fileStart(executable: boolean, size: number, offset: number): void {
    this.#add({ type: 'regular', size, ...(executable ? { executable } : {}), narOffset: offset })
  }

  /** Contents are not listed. */
  fileData(_chunk: Uint8Array): void {}

  fileEnd(): void {}

  symlink(target: Buffer): void {
    this.#add({ type: 'symlink', target: target.toString('utf8') })
  }

  /** The listing; to be asked for once the root is complete. */
  toJSON(): Listing {
    if (this.#root === undefined || this.#open.length > 0) throw new Error('the listing is not complete yet')
    return { version: 1, root: this.#root }
  }

  #add(node: ListingNode): void {
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#root = node
    else parent[this.#name] = node
  }
}
