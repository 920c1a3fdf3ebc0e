import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ifPresent } from '../../durable-file.ts'
import type { ObjectDatabase } from '../../object-database.ts'
import { ObjectNotFoundError } from '../../object-errors.ts'
import { isOid, type Oid } from '../../oid.ts'
import { parsePackageRef } from '../../refs/package-refs.ts'
import type { Ref } from '../../refs/packed-refs.ts'
import type { RefStore } from '../../refs/ref-store.ts'
import { tagLink } from '../../walk/links.ts'

/** Tags on tags that are followed. */
const MAX_TAG_DEPTH = 16
const MAX_TAG_SIZE = 1024 * 1024

/** What `HEAD` names. */
export interface Head {
  /** The branch, whether it exists or not; absent where HEAD names a commit itself. */
  readonly target?: string
  /** The commit; absent where the branch does not exist. */
  readonly oid?: Oid
}

/** A repository as those see it who fetch from it. */
export class ServedRepository {
  readonly gitDir: string
  readonly database: ObjectDatabase
  readonly #refs: RefStore
  readonly #shared: boolean

  /** @param shared whether another process may own the repository, so that it has to be looked at anew for each request */
  constructor(parts: { gitDir: string; database: ObjectDatabase; refs: RefStore; shared?: boolean }) {
    this.gitDir = parts.gitDir
    this.database = parts.database
    this.#refs = parts.refs
    this.#shared = parts.shared ?? false
  }

  /** Sees what another process has changed. */
  async refresh(): Promise<void> {
    if (!this.#shared) return
    // In this order: the objects of every ref that is seen are there.
    await this.#refs.refresh()
    await this.database.refresh()
  }

  /** Refs whose names begin with the prefix, in byte order. */
  refs(prefix: string): Iterable<Ref> {
    return this.#refs.list(prefix)
  }

  async head(): Promise<Head> {
    const text = (await ifPresent(readFile(join(this.gitDir, 'HEAD'), 'utf8')))?.trim() ?? ''
    if (isOid(text)) return { oid: text }
    const target = /^ref:\s*(refs\/\S+)$/.exec(text)?.[1]
    if (target === undefined) return {}
    const oid = this.#refs.get(target)
    return { target, ...(oid !== undefined && { oid }) }
  }

  /**
   * What the tag that a ref names stands for in the end; `undefined` when the ref names no tag. Refs of packages never do, and
   * are not looked at.
   */
  async peel({ name, oid }: Ref): Promise<Oid | undefined> {
    if (parsePackageRef(name) !== undefined) return undefined
    try {
      let { type } = await this.database.header(oid)
      let peeled = oid
      for (let depth = 0; type === 'tag' && depth < MAX_TAG_DEPTH; depth++) {
        const link = tagLink((await this.database.read(peeled, { maxSize: MAX_TAG_SIZE })).data)
        peeled = link.target
        type = link.type
      }
      return peeled === oid || type === 'tag' ? undefined : peeled
    } catch (error) {
      // A ref to nothing is listed as it is.
      if (error instanceof ObjectNotFoundError) return undefined
      throw error
    }
  }

  /** The annotated tags that refs name. */
  async tags(): Promise<{ tag: Oid; target: Oid }[]> {
    const found: { tag: Oid; target: Oid }[] = []
    for (const ref of this.refs('refs/tags/')) {
      const target = await this.peel(ref)
      if (target !== undefined) found.push({ tag: ref.oid, target })
    }
    return found
  }
}
