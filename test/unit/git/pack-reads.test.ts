import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pack } from '../../../src/git/pack/pack.ts'
import { PackReads } from '../../../src/git/pack/pack-reads.ts'

/** A pack on a disk that takes its time, or does not. */
class Disk {
  slow = false
  atOnce = 0
  elsewhere = 0
  readonly #reads = new PackReads()

  async read(times: number): Promise<void> {
    for (let i = 0; i < times; i++) {
      await this.#reads.read([{ pack: this as unknown as Pack, position: 0, target: Buffer.alloc(100) }])
    }
  }

  readSync(target: Buffer): number {
    this.atOnce++
    const end = performance.now() + (this.slow ? 3 : 0)
    while (performance.now() < end);
    return target.length
  }

  async readAt(target: Buffer): Promise<number> {
    this.elsewhere++
    return target.length
  }
}

describe('reading packs', () => {
  it('leaves the event loop alone while the disk is asked', async () => {
    const disk = new Disk()
    disk.slow = true
    await disk.read(2000)
    assert.ok(disk.atOnce <= 16, `${disk.atOnce} of ${disk.atOnce + disk.elsewhere} reads at once`)
  })

  it('soon reads at once again when it is quick', async () => {
    const disk = new Disk()
    disk.slow = true
    await disk.read(1)
    disk.slow = false
    await disk.read(200)
    // On a machine with much to do a quick one may seem slow, too.
    assert.ok(disk.atOnce > 100, `${disk.atOnce} of ${disk.atOnce + disk.elsewhere} reads at once`)
  })
})
