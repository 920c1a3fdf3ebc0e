/**
 * A process of its own that opens the repository of its first argument, where many packs wait to be merged, and kills
 * itself just before the so-many-th change (second argument) that it makes to packs and sidecars. Ends with 0 when there
 * are fewer.
 */
import { readdirSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { until } from './process.ts'

const [path = '', moment = ''] = process.argv.slice(2)
let left = Number(moment)

for (const name of ['rename', 'rm', 'unlink', 'utimes'] as const) {
  const original = fs[name] as (...args: unknown[]) => Promise<void>
  Object.assign(fs, {
    [name]: (...args: unknown[]) => {
      if (/objects\/pack\/|gachix\/splice\//.test(args.join(' ')) && --left === 0) {
        process.kill(process.pid, 'SIGKILL')
      }
      return original(...args)
    },
  })
}
syncBuiltinESMExports()

const { GitPackageStore } = await import('../../src/store/package-store.ts')
const store = await GitPackageStore.open({ path })
const packs = () => readdirSync(join(path, 'objects/pack')).filter((name) => name.endsWith('.pack')).length
const before = packs()
await until(
  () => 'a merge',
  async () => (packs() < before ? true : undefined),
)
// Waits for what is under way.
await store.close()
