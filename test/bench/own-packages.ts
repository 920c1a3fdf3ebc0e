/**
 * The benchmark's own packages for checkouts without a corpus: files of this machine, dealt out to packages between
 * some tens of kB and some MB, built by the real Nix. The same machine gives the same packages.
 */
import { createHash } from 'node:crypto'
import { copyFile, lstat, mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** Folders of the machine with programs, libraries, text and data, much as real packages hold them. */
const SOURCES = ['/usr/bin', '/usr/lib', '/usr/share']
/** Bytes; what is larger would be most of the set by itself. */
const LARGEST_FILE = 4_000_000
/** Each package gets this much more than the one before. */
const GROWTH = 1.15

export interface OwnPackages {
  readonly count: number
  /** All files together, bytes. */
  readonly size: number
}

interface SourceFile {
  readonly path: string
  readonly size: number
  /** What decides the file's place: evenly spread, the same in every run. */
  readonly rank: string
}

/** Fills `folder/packages/` with a folder for each package and puts the Nix expression beside it. */
export async function prepareOwnPackages(folder: string, wanted: OwnPackages): Promise<string> {
  const found: SourceFile[] = []
  for (const source of SOURCES) await collect(source, found)
  found.sort((a, b) => (a.rank < b.rank ? -1 : 1))

  const shares = Array.from({ length: wanted.count }, (_, index) => GROWTH ** index)
  const unit = wanted.size / shares.reduce((sum, share) => sum + share)
  const files = found.values()
  for (const [index, share] of shares.entries()) {
    const target = join(folder, 'packages', `package-${String(index).padStart(2, '0')}`)
    await mkdir(target, { recursive: true })
    let size = 0
    while (size < share * unit) {
      const { value: file, done } = files.next()
      if (done === true) break
      const copy = join(target, file.path.slice('/usr/'.length))
      await mkdir(dirname(copy), { recursive: true })
      await copyFile(file.path, copy)
      size += file.size
    }
  }
  const expression = join(folder, 'packages.nix')
  await copyFile(join(import.meta.dirname, 'packages.nix'), expression)
  return expression
}

async function collect(folder: string, found: SourceFile[]): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await collect(path, found)
    if (!entry.isFile()) continue
    const { size } = await lstat(path)
    if (size <= LARGEST_FILE)
      found.push({ path, size, rank: createHash('sha256').update(path).digest('hex') })
  }
}
