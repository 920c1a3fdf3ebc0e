/** What was compiled is what the sources beside it make. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')

test('the encoder of blobs is made of its sources, byte for byte', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gachix-native-'))
  try {
    const made = join(folder, 'chunk.wasm')
    await run('sh', [join(CHECKOUT, 'src/git/deflate/native/build.sh'), made])
    const kept = await readFile(join(CHECKOUT, 'src/git/deflate/chunk.wasm'))
    assert.ok((await readFile(made)).equals(kept), 'run src/git/deflate/native/build.sh')
    const module = new WebAssembly.Module(kept)
    assert.deepEqual(WebAssembly.Module.imports(module), [], 'it reaches nothing outside')
    const licence = 'src/git/deflate/native/libdeflate/COPYING'
    assert.deepEqual(
      await readFile(join(CHECKOUT, 'src/git/deflate/chunk.wasm.LICENSE')),
      await readFile(join(CHECKOUT, licence)),
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})
