/** A file system in memory, for what shall not be measured: a disk's. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../support/process.ts'

/**
 * A `tmpfs` in the temporary folder. On ext4 without a journal a client that made 40,000 files after as many had been removed spent two thirds
 * of its processor time on the inodes of these, so that the order of the turns decided.
 */
export class MemoryDisk implements AsyncDisposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async mount(): Promise<MemoryDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'memory-'))
    // It takes what is in it. All of the memory may be in it, as the processes need little.
    await run('mount', ['-t', 'tmpfs', '-o', 'size=100%,nr_inodes=0', 'gachix-bench', folder])
    return new MemoryDisk(folder)
  }

  /** Lets go of it and of all that is in it, also while somebody still has a file open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await run('umount', ['--lazy', this.folder])
  }
}
