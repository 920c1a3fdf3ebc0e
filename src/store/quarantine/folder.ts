import { createHash } from 'node:crypto'
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ifPresent } from '../../git/durable-file.ts'

/** A quarantine that nobody has opened for so long is removed when the store opens. */
const STALE_MILLISECONDS = 7 * 24 * 60 * 60 * 1000
/** Characters of a quarantine's own name that its folder's name shows. */
const SHOWN_NAME = 40

/** The folder under which all quarantines lie. */
export function quarantineRoot(ownDir: string): string {
  return join(ownDir, 'quarantine')
}

/** Where one quarantine keeps what it holds: an object directory with the store's as its alternate. */
export class QuarantineFolder {
  readonly path: string
  readonly objectsDir: string
  readonly packDir: string
  readonly spliceDir: string
  readonly tmpDir: string

  /** @param name of any characters: the folder's name is made of it, and is another one for every other name */
  constructor(root: string, name: string) {
    const shown = name.replace(/[^A-Za-z0-9_-]+/g, '-').slice(0, SHOWN_NAME)
    const digest = createHash('sha256').update(name).digest('hex').slice(0, 16)
    this.path = join(root, `${shown}-${digest}`)
    this.objectsDir = join(this.path, 'objects')
    this.packDir = join(this.objectsDir, 'pack')
    this.spliceDir = join(this.path, 'splice')
    this.tmpDir = join(this.path, 'tmp')
  }

  /** Makes the folder, or takes up the one that is there. */
  async prepare(): Promise<void> {
    for (const directory of [this.packDir, join(this.objectsDir, 'info'), this.spliceDir, this.tmpDir])
      await mkdir(directory, { recursive: true, mode: 0o700 })
    // Relative, so that the repository can be moved: from <repository>/gachix/quarantine/<name>/objects.
    await writeFile(join(this.objectsDir, 'info', 'alternates'), '../../../../objects\n')
    const now = new Date()
    await utimes(this.path, now, now)
  }
}

/** Removes quarantines that nobody has opened for long. Only the holder of the repository's lock may do this. */
export async function removeStale(ownDir: string): Promise<void> {
  const root = quarantineRoot(ownDir)
  for (const name of (await ifPresent(readdir(root))) ?? []) {
    const path = join(root, name)
    const facts = await ifPresent(stat(path))
    if (facts !== undefined && Date.now() - facts.mtimeMs > STALE_MILLISECONDS)
      await rm(path, { recursive: true, force: true })
  }
}
