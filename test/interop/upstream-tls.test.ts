/** Binary caches over TLS: certificates are checked, by the authorities of Node and those that its environment names. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createUpstreamSource } from '../../src/ingest/upstream/source.ts'
import { run } from '../support/process.ts'

const ABSENT = '0'.repeat(32)
const SOURCE = new URL('../../src/ingest/upstream/source.ts', import.meta.url)

let folder: string
let url: string
let server: ReturnType<typeof createServer>

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gxtls-'))
  const [key, cert] = [join(folder, 'key'), join(folder, 'cert')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ])
  server = createServer({ key: await readFile(key), cert: await readFile(cert) }, ({ url }, response) => {
    response.writeHead(url === '/nix-cache-info' ? 200 : 404).end('')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
after(async () => {
  server?.close()
  await rm(folder, { recursive: true, force: true })
})

test('a certificate that nobody vouches for is refused', async () => {
  const source = createUpstreamSource({ url, name: 'upstream' })
  await assert.rejects(source.pathInfo(ABSENT), {
    code: 'ERR_UPSTREAM_UNREACHABLE',
    message: /self-signed certificate/,
  })
  source.close()
})

test('one of an authority that NODE_EXTRA_CA_CERTS names is taken', async () => {
  const script = `const { createUpstreamSource } = await import(${JSON.stringify(SOURCE)})
const source = createUpstreamSource({ url: ${JSON.stringify(url)}, name: 'upstream' })
console.log(await source.pathInfo('${ABSENT}'))
source.close()`
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'cert') }
  const output = await run(process.execPath, ['--input-type=module', '-e', script], { env })
  assert.equal(output.toString(), 'undefined\n')
})
