/**
 * A process of its own that takes a pack into the repository of its first argument and publishes the packages of it. The
 * second argument is a folder with `pack` and `packages.json` in it. It says on its standard output what it begins
 * with: `receive`, `admit`, `publish`, `done`.
 */
import { createReadStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseNarInfo } from '../../src/nix/narinfo.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'

/** The packages of `packages.json`, references first: the narinfo and the commit of each. */
export interface Announced {
  readonly narinfo: string
  readonly commit: string
}

const [path = '', folder = ''] = process.argv.slice(2)
const announced = JSON.parse(readFileSync(join(folder, 'packages.json'), 'utf8')) as Announced[]
const say = (stage: string): void => void process.stdout.write(`${stage}\n`)

const store = await GitPackageStore.open({ path, shortLived: true })
const quarantine = await store.quarantine('peer')
say('receive')
await quarantine.receive(createReadStream(join(folder, 'pack')), {
  objects: 100_000,
  packBytes: 2 ** 32,
  inflatedBytes: 2 ** 32,
})
const half = Math.ceil(announced.length / 2)
for (const part of [announced.slice(0, half), announced.slice(half)]) {
  say('admit')
  for (const { narinfo, commit } of part)
    await quarantine.admit(parseNarInfo(narinfo, { storeDir: store.storeDir, lenient: true }), commit)
  say('publish')
  await quarantine.publish()
}
say('done')
await quarantine.close()
await store.close()
