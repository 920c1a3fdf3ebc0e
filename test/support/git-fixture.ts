/** Repositories made by the real `git`, and what `git` says of their objects. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './process.ts'

export interface GitObject {
  readonly oid: string
  readonly type: string
  readonly data: Buffer
}

/** A bare repository in a temporary directory, untouched by the machine's configuration. */
export class GitFixture {
  readonly root: string
  readonly gitDir: string

  private constructor(root: string) {
    this.root = root
    this.gitDir = join(root, 'repository.git')
  }

  static async create(): Promise<GitFixture> {
    const fixture = new GitFixture(await mkdtemp(join(tmpdir(), 'gachix-git-')))
    await fixture.git('init', '--quiet', '--bare')
    await fixture.git('config', 'gc.auto', '0')
    await fixture.git('config', 'pack.threads', '1')
    await fixture.git('config', 'core.compression', '1')
    return fixture
  }

  get objectsDir(): string {
    return join(this.gitDir, 'objects')
  }

  get packDir(): string {
    return join(this.objectsDir, 'pack')
  }

  async remove(): Promise<void> {
    await rm(this.root, { recursive: true, force: true })
  }

  async git(...args: string[]): Promise<Buffer> {
    return this.gitWith('', ...args)
  }

  async gitWith(input: string | Uint8Array, ...args: string[]): Promise<Buffer> {
    const env = {
      PATH: process.env.PATH,
      HOME: this.root,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_DIR: this.gitDir,
      GIT_AUTHOR_NAME: 'A',
      GIT_AUTHOR_EMAIL: 'a@example.org',
      GIT_AUTHOR_DATE: '@0 +0000',
      GIT_COMMITTER_NAME: 'A',
      GIT_COMMITTER_EMAIL: 'a@example.org',
      GIT_COMMITTER_DATE: '@0 +0000',
    }
    return run('git', args, { cwd: this.root, env, input })
  }

  /** Writes one object loose and returns its id. */
  async hashObject(data: Uint8Array | string): Promise<string> {
    return (await this.gitWith(data, 'hash-object', '-w', '--stdin')).toString().trim()
  }

  /** One commit after the other on a new branch, each with the given files, all in one pack. */
  async fastImport(
    commits: readonly (readonly [path: string, data: Buffer][])[],
    branch = 'main',
  ): Promise<void> {
    const parts: Buffer[] = []
    for (const [number, files] of commits.entries()) {
      const message = `change ${number}`
      parts.push(
        Buffer.from(
          `commit refs/heads/${branch}\ncommitter A <a@example.org> ${number} +0000\ndata ${message.length}\n${message}\n`,
        ),
      )
      for (const [path, data] of files) {
        parts.push(Buffer.from(`M 100644 inline ${path}\ndata ${data.length}\n`), data, Buffer.from('\n'))
      }
    }
    await this.gitWith(Buffer.concat(parts), '-c', 'fastimport.unpackLimit=0', 'fast-import', '--quiet')
  }

  async oids(): Promise<string[]> {
    const list = await this.git('cat-file', '--batch-all-objects', '--batch-check=%(objectname)')
    return list.toString().trim().split('\n')
  }

  /** All objects as `git cat-file` gives them. */
  async objects(): Promise<GitObject[]> {
    const output = await this.git('cat-file', '--batch-all-objects', '--batch')
    const objects: GitObject[] = []
    for (let at = 0; at < output.length; ) {
      const end = output.indexOf(10, at)
      const [oid = '', type = '', size = ''] = output.toString('latin1', at, end).split(' ')
      const start = end + 1
      objects.push({ oid, type, data: output.subarray(start, start + Number(size)) })
      at = start + Number(size) + 1
    }
    return objects
  }

  /** Paths of the packs, sorted. */
  async packs(): Promise<string[]> {
    const names = (await readdir(this.packDir)).filter((name) => name.endsWith('.pack'))
    return names.sort().map((name) => join(this.packDir, name))
  }
}

/** Bytes that look random, the same ones for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(length / 4))
  let state = (seed * 2654435761 + 1) >>> 0
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return Buffer.from(words.buffer, 0, length)
}

/** Text with repetitions, the same one for the same seed: it compresses to about a quarter. */
export function prose(length: number, seed: number): Buffer {
  const random = noise(length, seed)
  const letters = 'the quick brown fox jumps over lazy dogs '
  const text = Buffer.alloc(length)
  for (let i = 0; i < length; i++) text[i] = letters.charCodeAt((random[i >> 4]! + i) % letters.length)
  return text
}

/** Twelve versions of a few files, most of which differ little from one another: something to make deltas of. */
export function history(): [string, Buffer][][] {
  const commits: [string, Buffer][][] = []
  for (let version = 0; version < 12; version++) {
    const files: [string, Buffer][] = []
    for (let file = 0; file < 20; file++) {
      const text = prose(3000 + file * 500, file)
      text.write(`version ${version} of file ${file}`, (version * 100 + file) % 2000)
      files.push([`dir${file % 4}/file${file}.txt`, text])
    }
    files.push([`noise/${version}`, noise(2000, version + 1)])
    commits.push(files)
  }
  return commits
}
