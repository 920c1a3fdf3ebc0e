/** The packages that are measured: in a real store with a real daemon, whatever they are. */
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NixStore, type PathFacts } from '../support/nix.ts'
import type { Options } from './options.ts'
import { prepareOwnPackages } from './own-packages.ts'
import { childrenOf, programOf } from './process-stats.ts'

export class PackageSet implements AsyncDisposable {
  /** What it is, in words. */
  readonly name: string
  readonly store: NixStore
  /** Paths whose closure is the set. */
  readonly roots: readonly string[]
  /** Every path of the set, references first. */
  readonly closure: readonly PathFacts[]
  /** All NARs together, bytes. */
  readonly narSize: number

  private constructor(name: string, store: NixStore, roots: readonly string[], closure: PathFacts[]) {
    this.name = name
    this.store = store
    this.roots = roots
    this.closure = closure
    this.narSize = closure.reduce((sum, { narSize }) => sum + narSize, 0)
  }

  /** The corpus that the options name, or packages made from this machine's files. */
  static async open(options: Options): Promise<PackageSet> {
    const corpus = options.corpus === undefined ? undefined : await readCorpus(options.corpus)
    const store = await NixStore.start(options.corpus === undefined ? {} : { root: options.corpus })
    try {
      const [name, roots] =
        corpus === undefined
          ? ["files of this machine, as the benchmark's own packages", await buildOwn(store, options)]
          : [describe(corpus, options), corpusRoots(corpus, options)]
      const closure = await store.facts(await store.closure(roots))
      return new PackageSet(name, store, roots, closure)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  /** Process id of the store's daemon. */
  get daemonPid(): number {
    const daemon = childrenOf(process.pid).find((pid) => programOf(pid) === 'nix-daemon')
    if (daemon === undefined) throw new Error('the nix-daemon has ended')
    return daemon
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close()
  }
}

async function buildOwn(store: NixStore, options: Options): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'packages-'))
  const wanted = options.quick ? { count: 20, size: 20e6 } : { count: 40, size: 80e6 }
  const file = await prepareOwnPackages(folder, wanted)
  return store.build(['everything'], { file })
}

interface Corpus {
  readonly name: string
  readonly generations: Readonly<Record<string, { readonly system: string }>>
}

async function readCorpus(root: string): Promise<Corpus> {
  const manifests = (await readdir(root)).filter((name) => /^corpus-\w+\.json$/.test(name))
  const [manifest, another] = manifests
  if (manifest === undefined || another !== undefined) {
    throw new Error(`${root} should have one manifest corpus-LIST.json, it has ${manifests.length}`)
  }
  return JSON.parse(await readFile(join(root, manifest), 'utf8')) as Corpus
}

function generations(options: Options): string[] {
  return options.generation === 'both' ? ['A', 'B'] : [options.generation]
}

function describe(corpus: Corpus, options: Options): string {
  return `corpus ${corpus.name}, generation ${generations(options).join(' and ')}`
}

function corpusRoots(corpus: Corpus, options: Options): string[] {
  return generations(options).map((name) => {
    const generation = corpus.generations[name]
    if (generation === undefined) throw new Error(`the corpus has no generation ${name}`)
    return generation.system
  })
}
