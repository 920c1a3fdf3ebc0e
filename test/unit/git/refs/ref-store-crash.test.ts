import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PackedRefs } from '../../../../src/git/refs/packed-refs.ts'
import { RefStore } from '../../../../src/git/refs/ref-store.ts'
import { temporaryDirectory } from './arbitraries.ts'
import { batchOf, LOOSE_VALUE, looseName } from './crash-batches.ts'

const WRITER = fileURLToPath(new URL('crash-writer.ts', import.meta.url))
const KILLS = 20

/** Lets a writer work until some time after its first confirmation, and returns what it confirmed. */
async function killedWriter(gitDir: string, first: number, delay: number): Promise<number[]> {
  const child = spawn(process.execPath, [WRITER, gitDir, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output === '') setTimeout(() => child.kill('SIGKILL'), delay)
    output += text
  })
  const [, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL')
  return output.split('\n').slice(0, -1).map(Number)
}

/** How many of the batch's refs have their values; all of them or none may. */
function applied(store: RefStore, number: number): boolean {
  const { set, delete: removed } = batchOf(number)
  const own = set.filter(([name]) => !name.startsWith('refs/heads/') && name !== looseName(number))
  const present = own.filter(([name, oid]) => store.get(name) === oid).length
  assert.ok(present === 0 || present === own.length, `batch ${number} is there in part`)
  if (present === 0) return false
  for (const name of removed) assert.equal(store.get(name), undefined, name)
  for (const [name, oid] of set) if (!name.startsWith('refs/heads/')) assert.equal(store.get(name), oid, name)
  return true
}

test('killed at any moment, a writer loses nothing that it confirmed', async (t) => {
  const gitDir = await temporaryDirectory(t)
  const confirmed: number[] = []
  let first = 0
  for (let kill = 0; kill < KILLS; kill++) {
    confirmed.push(...(await killedWriter(gitDir, first, Math.random() * 60)))
    const end = Math.max(...confirmed) + 5
    for (const readOnly of [true, false]) {
      const store = await RefStore.open(gitDir, { readOnly })
      for (const number of confirmed)
        assert.ok(applied(store, number), `batch ${number} was confirmed and is gone`)
      // The batches that were on their way are there or not, but not by half.
      for (let number = end - 4; number < end; number++) {
        if (!applied(store, number))
          assert.ok([undefined, LOOSE_VALUE].includes(store.get(looseName(number))))
      }
      await store.close()
    }
    first = end + (end % 2)
  }
  const store = await RefStore.open(gitDir, { readOnly: true })
  const packed = await PackedRefs.load(`${gitDir}/packed-refs`)
  for (const number of confirmed) {
    for (const [name, oid] of batchOf(number).set) {
      if (!name.startsWith('refs/heads/')) assert.equal(packed.find(name), oid)
    }
  }
  assert.equal(store.packageCount, packed.packageCount)
  const files = await readdir(gitDir, { recursive: true })
  assert.deepEqual(
    files.filter((name) => name.endsWith('.lock')),
    [],
  )
})
