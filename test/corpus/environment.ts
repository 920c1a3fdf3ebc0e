/**
 * What the tests of this folder find beside the checkout: the tool that makes a corpus of real packages, and the one
 * that sets up Nix clients of other versions. What they make is kept in `test/.work/` between runs.
 *
 * | variable | meaning | default |
 * |---|---|---|
 * | `GACHIX_CORPUS_TOOL` | folder with `make-corpus` | `../shared/corpus` beside the checkout |
 * | `GACHIX_CORPUS_LIST` | `small`, `medium` or `large` | `small` |
 * | `GACHIX_CORPUS_ROOT` | root of a corpus that is there already | made by the tool |
 * | `GACHIX_CLIENTS_TOOL` | the program `setup-nix-clients` | `../shared/clients/setup-nix-clients` |
 * | `GACHIX_CLIENTS_DIR` | folder of clients that are there already | made by the tool |
 */
import { access, mkdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { NixStore } from '../support/nix.ts'
import { run } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const WORK = join(CHECKOUT, 'test/.work')
/** Packages are fetched and built: milliseconds. */
const PATIENCE = 20 * 60_000

export interface Corpus {
  /** The store that holds the corpus, with its daemon. */
  readonly store: NixStore
  /** The store path whose closure is the generation. */
  readonly systems: { readonly A: string; readonly B: string }
}

/** Opens the corpus, making it first where it is not there. */
export async function openCorpus(): Promise<Corpus> {
  const list = process.env.GACHIX_CORPUS_LIST ?? 'small'
  const prepared = process.env.GACHIX_CORPUS_ROOT
  const root = prepared ?? join(WORK, `corpus-${list}`)
  const manifestFile = join(root, `corpus-${list}.json`)
  if (prepared === undefined && !(await exists(manifestFile))) {
    const tool = join(process.env.GACHIX_CORPUS_TOOL ?? join(CHECKOUT, '../shared/corpus'), 'make-corpus')
    if (!(await exists(tool))) throw new Error(`${tool} is not there: name its folder by GACHIX_CORPUS_TOOL`)
    await mkdir(WORK, { recursive: true })
    await run(tool, [list, root, '--work', join(WORK, 'corpus.work')], { timeout: PATIENCE })
  }
  const manifest = JSON.parse(await readFile(manifestFile, 'utf8')) as {
    generations: Record<'A' | 'B', { system: string }>
  }
  const { A, B } = manifest.generations
  return { store: await NixStore.start({ root }), systems: { A: A.system, B: B.system } }
}

export interface Clients {
  /** The root of the Debian system of that name, whose Nix is the client. */
  chroot(suite: string): string
  /** Unmounts what was mounted for them. */
  close(): Promise<void>
}

/** Sets up the Nix clients of Debian releases, or takes those that are there. */
export async function openClients(suites: readonly string[]): Promise<Clients> {
  const prepared = process.env.GACHIX_CLIENTS_DIR
  const folder = prepared ?? join(WORK, 'clients')
  if (prepared === undefined) {
    const tool = process.env.GACHIX_CLIENTS_TOOL ?? join(CHECKOUT, '../shared/clients/setup-nix-clients')
    if (!(await exists(tool))) throw new Error(`${tool} is not there: name it by GACHIX_CLIENTS_TOOL`)
    await mkdir(folder, { recursive: true })
    await run(tool, [folder, ...suites], { timeout: PATIENCE })
  }
  return {
    chroot: (suite) => resolve(folder, suite),
    close: async () => {
      if (prepared === undefined) await unmountBelow(resolve(folder))
    },
  }
}

/** The clients' systems have `/dev` and `/proc` mounted: nothing may stay that a later `rm -r` could follow. Where a run is killed, its mount namespace (`unshare`) sees to that. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  const inside = mounts.filter((mount) => mount.startsWith(`${folder}/`)).sort()
  for (const mount of inside.reverse()) await run('umount', ['--lazy', mount])
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
