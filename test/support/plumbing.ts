/**
 * Packages written into a repository by plain `git` commands alone (`hash-object`, `mktree`, `commit-tree`,
 * `update-ref`), in the format that the documents describe. Shares nothing with the product.
 */
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { hashPart } from './narinfo.ts'
import type { NixStore, PathFacts } from './nix.ts'
import { run, runLines } from './process.ts'

const IDENTITY = {
  GIT_AUTHOR_NAME: 'gachix',
  GIT_AUTHOR_EMAIL: 'gachix@gachix.com',
  GIT_AUTHOR_DATE: '@0 +0000',
  GIT_COMMITTER_NAME: 'gachix',
  GIT_COMMITTER_EMAIL: 'gachix@gachix.com',
  GIT_COMMITTER_DATE: '@0 +0000',
}

export class Plumbing {
  readonly #repository: string

  constructor(repository: string) {
    this.#repository = repository
  }

  async #git(args: readonly string[], input?: string | Uint8Array): Promise<string> {
    const options = { env: { ...process.env, ...IDENTITY }, ...(input === undefined ? {} : { input }) }
    return (await run('git', ['-C', this.#repository, ...args], options)).toString().trim()
  }

  /** Publishes a package whose references, without itself, are in the repository already. */
  async publish(store: NixStore, facts: PathFacts): Promise<void> {
    const tree = await this.#packageTree(Buffer.from(store.real(facts.path)))
    const parents: string[] = []
    for (const reference of facts.references) {
      if (reference === facts.path) continue
      const parent = await this.#git(['rev-parse', `refs/${hashPart(reference)}/result`])
      parents.push('-p', parent)
    }
    const hash = hashPart(facts.path)
    const name = facts.path.slice('/nix/store/'.length + 33)
    const commit = await this.#git(['commit-tree', tree, ...parents], name)
    const narinfo = await this.#git(['hash-object', '-w', '--stdin'], await this.#narinfo(facts, tree))
    await this.#git(['update-ref', `refs/${hash}/result`, commit])
    await this.#git(['update-ref', `refs/${hash}/narinfo`, narinfo])
  }

  async #narinfo(facts: PathFacts, tree: string): Promise<string> {
    const baseName = (path: string): string => path.slice('/nix/store/'.length)
    const [narHash] = await runLines('nix-hash', ['--type', 'sha256', '--to-base32', facts.narHash])
    const fields: [string, string | number][] = [
      ['StorePath', facts.path],
      ['URL', `nar/${tree}.nar`],
      ['Compression', 'none'],
      ['FileHash', `sha256:${narHash}`],
      ['FileSize', facts.narSize],
      ['NarHash', `sha256:${narHash}`],
      ['NarSize', facts.narSize],
      ['References', facts.references.map(baseName).join(' ')],
      ['Deriver', facts.deriver === undefined ? '' : baseName(facts.deriver)],
      ['Sig', ''],
    ]
    if (facts.ca !== undefined) fields.push(['CA', facts.ca])
    return fields.map(([key, value]) => `${key}: ${value}\n`).join('')
  }

  async #packageTree(path: Buffer): Promise<string> {
    if ((await lstat(path)).isDirectory()) return this.#tree(path)
    return this.#makeTree([{ name: Buffer.from('gachix-single-file'), ...(await this.#leaf(path)) }])
  }

  async #tree(folder: Buffer): Promise<string> {
    const entries: TreeEntry[] = []
    for (const name of await readdir(folder, { encoding: 'buffer' })) {
      const path = Buffer.concat([folder, Buffer.from('/'), name])
      if ((await lstat(path)).isDirectory()) {
        entries.push({ name, mode: '040000', type: 'tree', oid: await this.#tree(path) })
      } else {
        entries.push({ name, ...(await this.#leaf(path)) })
      }
    }
    return this.#makeTree(entries)
  }

  async #leaf(path: Buffer): Promise<Omit<TreeEntry, 'name'>> {
    const stat = await lstat(path)
    if (stat.isSymbolicLink()) {
      const target = await readlink(path, { encoding: 'buffer' })
      return { mode: '120000', type: 'blob', oid: await this.#git(['hash-object', '-w', '--stdin'], target) }
    }
    const mode = (stat.mode & 0o100) === 0 ? '100644' : '100755'
    return {
      mode,
      type: 'blob',
      oid: await this.#git(['hash-object', '-w', '--stdin'], await readFile(path)),
    }
  }

  /** `git mktree` sorts the entries itself. */
  #makeTree(entries: readonly TreeEntry[]): Promise<string> {
    const lines = entries.map(({ mode, type, oid, name }) =>
      Buffer.concat([Buffer.from(`${mode} ${type} ${oid}\t`), name, Buffer.from([0])]),
    )
    return this.#git(['mktree', '-z'], Buffer.concat(lines))
  }
}

interface TreeEntry {
  readonly name: Buffer
  readonly mode: string
  readonly type: 'blob' | 'tree'
  readonly oid: string
}
