import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ensureIdentity } from '../../../src/peers/identity.ts'
import { readPreSharedKey } from '../../../src/peers/swarm/pre-shared-key.ts'

describe('the identity of a node', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-identity-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is made once, kept, and for its owner only', async () => {
    const first = await ensureIdentity(folder)
    assert.match(first.id, /^12D3KooW/)
    assert.equal((await ensureIdentity(folder)).id, first.id)
    const [name, ...others] = await readdir(folder)
    assert.deepEqual(others, [])
    assert.equal((await stat(join(folder, name!))).mode & 0o777, 0o600)
  })

  it('is not made anew over a damaged file', async () => {
    const path = join(folder, 'gachix-peer-key')
    for (const contents of ['', 'nonsense', 'A'.repeat(5000), 'CAISIQ==']) {
      await writeFile(path, contents)
      await assert.rejects(ensureIdentity(folder), { code: 'ERR_PEER_IDENTITY', message: /gachix-peer-key/ })
      assert.equal(await readFile(path, 'utf8'), contents)
    }
  })
})

describe('a pre-shared key', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-psk-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is read in the form of libp2p', async () => {
    const path = join(folder, 'swarm.key')
    const text = `/key/swarm/psk/1.0.0/\n/base16/\n${'0123456789abcdef'.repeat(4)}`
    await writeFile(path, `${text}\n`)
    assert.equal(Buffer.from(readPreSharedKey(path)).toString(), text)
  })

  it('is refused in any other, with the file named', async () => {
    const path = join(folder, 'wrong.key')
    for (const text of ['', 'x', `/key/swarm/psk/1.0.0/\n/base16/\n${'0'.repeat(63)}`, 'y'.repeat(1000)]) {
      await writeFile(path, text)
      assert.throws(() => readPreSharedKey(path), { code: 'ERR_PRE_SHARED_KEY', message: /wrong\.key/ })
    }
    assert.throws(() => readPreSharedKey(join(folder, 'none')), { code: 'ERR_PRE_SHARED_KEY' })
  })
})
