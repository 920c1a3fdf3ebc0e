import { type Stats, statSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { GachixError } from '../util/errors.ts'
import { DirectoryWatch } from './directory-watch.ts'
import type { FileHandles } from './file-handles.ts'
import { LooseObjects } from './loose.ts'
import { CorruptPackError, CorruptPackIndexError, PackGoneError } from './object-errors.ts'
import type { PackIndex } from './pack/index-reader.ts'
import { Pack } from './pack/pack.ts'

/** How often a pack is opened anew that is replaced meanwhile: as many as may write the same one at a time, and more. */
const MAX_OPENED_AGAIN = 16

/** How often a directory is listed in which packs come and go: each time some were merged meanwhile. */
const MAX_LISTINGS = 16

/** What an object directory does with a pack that cannot be read. */
export type ProblemHandler = (problem: GachixError) => void

/** What tells a file from another one that has its path later. */
export type PackFacts = Pick<Stats, 'ino' | 'size'>

export interface ObjectDirectoryOptions {
  readonly handles: FileHandles
  /** Without it a damaged pack is an error. */
  readonly onProblem?: ProblemHandler | undefined
  /** The index of a pack that somebody else has opened already, which takes 28 bytes an object and some time to check. */
  readonly knownIndex?: ((path: string, facts: PackFacts) => PackIndex | undefined) | undefined
}

/**
 * One object directory of a repository: its packs and its loose objects. Only packs with both `.pack` and `.idx` count;
 * `.keep`, `.rev`, `.bitmap`, `.promisor`, multi-pack indexes and commit graphs are of no concern.
 */
export class ObjectDirectory {
  readonly path: string
  readonly loose: LooseObjects
  readonly #options: ObjectDirectoryOptions
  readonly #watch: DirectoryWatch
  /** By path. */
  readonly #packs = new Map<string, { pack: Pack; ino: number }>()
  #ordered: readonly Pack[] = []
  #generation = 0

  constructor(path: string, options: ObjectDirectoryOptions) {
    this.path = path
    this.loose = new LooseObjects(path)
    this.#options = options
    this.#watch = new DirectoryWatch(join(path, 'pack'))
  }

  /** The packs, newest first; those of one time in the order of their names. */
  get packs(): readonly Pack[] {
    return this.#ordered
  }

  /** Grows with every change of the packs. */
  get generation(): number {
    return this.#generation
  }

  /**
   * Looks at the directories again where they have changed: opens new packs, closes those that are gone. Resolves to
   * whether anything is different.
   *
   * @throws CorruptPackError, CorruptPackIndexError for a damaged pack, unless there is a problem handler
   */
  async refresh(): Promise<boolean> {
    const names = await this.#watch.changes()
    const packsChanged = names !== undefined && (await this.#updatePacks(names))
    return (await this.loose.refresh()) || packsChanged
  }

  /**
   * Takes up the pack at `path`, which lies finished in `pack/`. Does nothing when it is known already.
   *
   * Two who write the same objects in the same order make packs of the same name, and the one that is ready later replaces the other: when
   * that happens while it is being opened, it is opened once more.
   */
  async add(path: string): Promise<Pack> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#add(path)
      } catch (error) {
        if (!(error instanceof PackGoneError) || attempt === MAX_OPENED_AGAIN) throw error
      }
    }
  }

  async #add(path: string): Promise<Pack> {
    // Every pack is looked at after each change: in turn through Node's threads that takes longer than all else about it.
    const facts = statSync(path)
    const known = this.#packs.get(path)
    if (known !== undefined && known.ino === facts.ino && known.pack.size === facts.size) return known.pack
    const { handles, knownIndex } = this.#options
    const pack = await Pack.open(path, handles, knownIndex?.(path, facts))
    // Opening takes time, in which a refresh may have found the same pack.
    const raced = this.#packs.get(path)
    if (raced !== undefined && raced.ino === facts.ino) {
      pack.close()
      return raced.pack
    }
    raced?.pack.close()
    this.#packs.set(path, { pack, ino: facts.ino })
    this.#order()
    return pack
  }

  /** The index of a pack, while this is still the file that it was. */
  indexOf(path: string, { ino, size }: PackFacts): PackIndex | undefined {
    const known = this.#packs.get(path)
    return known?.ino === ino && known.pack.size === size ? known.pack.index : undefined
  }

  /** Forgets a pack; its readers can go on. Returns whether it was known. */
  remove(pack: Pack): boolean {
    if (this.#packs.get(pack.path)?.pack !== pack) return false
    this.#packs.delete(pack.path)
    pack.close()
    this.#order()
    return true
  }

  /** Closes all packs as soon as their readers are done. */
  close(): void {
    for (const { pack } of this.#packs.values()) pack.close()
    this.#packs.clear()
    this.#ordered = []
  }

  /**
   * Follows a listing. One that was taken, or followed, while packs were merged may have neither the pack that they became nor those that it was made
   * of. What is missed is looked for in another listing, so, as a new pack is there before those go that it replaces, and forgotten
   * when that does not have it either.
   */
  async #updatePacks(names: readonly string[]): Promise<boolean> {
    const before = this.#ordered
    let missed: ReadonlySet<string> = new Set()
    let listed = names
    for (let listing = 1; ; listing++) {
      const { present, vanished } = await this.#openListed(new Set(listed))
      const gone = [...this.#packs.keys()].filter((path) => !present.has(path))
      const absent = new Set([...gone, ...vanished])
      if ([...absent].every((path) => missed.has(path)) || listing === MAX_LISTINGS) {
        for (const path of gone) this.remove(this.#packs.get(path)!.pack)
        break
      }
      missed = absent
      this.#watch.forget()
      listed = (await this.#watch.changes()) ?? []
    }
    return before.length !== this.#ordered.length || before.some((pack, i) => pack !== this.#ordered[i])
  }

  /** Opens what is listed. Resolves to the paths of packs that are there, damaged ones too, and of those that went before they could be opened. */
  async #openListed(names: ReadonlySet<string>): Promise<{ present: Set<string>; vanished: string[] }> {
    const present = new Set<string>()
    const vanished: string[] = []
    for (const name of names) {
      if (!name.endsWith('.pack') || !names.has(name.replace(/\.pack$/, '.idx'))) continue
      const path = join(this.#watch.path, name)
      try {
        await this.add(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
          vanished.push(path)
          continue
        }
        this.#report(error)
      }
      present.add(path)
    }
    return { present, vanished }
  }

  #report(error: unknown): void {
    const damaged = error instanceof CorruptPackError || error instanceof CorruptPackIndexError
    const { onProblem } = this.#options
    if (!damaged || onProblem === undefined) {
      this.#watch.forget()
      throw error
    }
    onProblem(error)
  }

  #order(): void {
    this.#generation++
    this.#ordered = [...this.#packs.values()]
      .map(({ pack }) => pack)
      .sort((a, b) => b.mtimeMs - a.mtimeMs || (a.path < b.path ? -1 : 1))
  }
}

/** How far `info/alternates` are followed from one directory to the next, as git does. */
const MAX_ALTERNATES_DEPTH = 5

/**
 * The object directory itself and all that its `info/alternates` name, directly or through one another, each once.
 * Relative paths are relative to the directory whose file names them; directories that do not exist are left out, as git does.
 */
export async function alternateDirectories(objectsDir: string): Promise<string[]> {
  const found = new Set<string>()
  const visit = async (directory: string, depth: number): Promise<void> => {
    if (found.has(directory)) return
    const facts = await stat(directory).catch(() => undefined)
    if (depth > 0 && !facts?.isDirectory()) return
    found.add(directory)
    if (depth >= MAX_ALTERNATES_DEPTH) return
    for (const path of await readAlternates(directory)) await visit(path, depth + 1)
  }
  await visit(resolve(objectsDir), 0)
  return [...found]
}

async function readAlternates(directory: string): Promise<string[]> {
  let text: string
  try {
    text = await readFile(join(directory, 'info', 'alternates'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => resolve(directory, line))
}
