import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { SecretKey } from '../../../src/nix/signature.ts'
import { redactLine, silentLogger } from '../../../src/util/log.ts'
import { createLogger, type LoggerOptions } from '../../../src/util/logger.ts'

/** A logger that writes into an array. */
function record(options: LoggerOptions = {}) {
  const lines: string[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  return { lines, logger: createLogger({ pretty: false, destination, ...options }) }
}

describe('the logger', () => {
  it('writes one JSON object a line, from its level on', () => {
    const { lines, logger } = record({ level: 'warn' })
    logger.info('quiet')
    logger.child({ part: 'http' }).warn({ url: 'http://x' }, 'loud')
    assert.equal(lines.length, 1)
    const line = JSON.parse(lines[0]!) as Record<string, unknown>
    assert.deepEqual([line.level, line.part, line.url, line.msg], ['warn', 'http', 'http://x', 'loud'])
    assert.match(String(line.time), /^\d{4}-\d\d-\d\dT/)
  })

  it('says nothing at silent', () => {
    const { lines, logger } = record({ level: 'silent' })
    logger.error('quiet')
    silentLogger.child({}).error({ err: new Error('x') }, 'quiet')
    assert.deepEqual(lines, [])
  })

  it('writes for people when asked', () => {
    const { lines, logger } = record({ pretty: true })
    logger.info({ url: 'http://x' }, 'hello')
    assert.match(lines.join(''), /INFO.*hello/s)
    assert.throws(() => JSON.parse(lines.join('')))
  })

  for (const pretty of [false, true]) {
    it(`keeps secrets out of ${pretty ? 'pretty' : 'JSON'} lines`, () => {
      const { lines, logger } = record({ pretty })
      const key = SecretKey.generate('k-1')
      const secret = key.secretText()
      logger.info({ password: 'hunter2', options: { token: 'hunter2' }, key }, secret)
      logger.error(
        { err: new Error(`cannot fetch https://me:hunter2@host/x with ${secret}`) },
        'ssh://me:hunter2@host failed',
      )
      const text = lines.join('')
      assert.ok(!text.includes('hunter2'), text)
      assert.ok(!text.includes(secret.split(':')[1]!), text)
      assert.ok(text.includes('me:[redacted]@host'))
    })
  }
})

describe('redactLine', () => {
  it('leaves what is no secret alone', () => {
    const key = SecretKey.generate('k-1').publicKey.toString()
    for (const line of [
      'http://host:8080/a@b',
      'ssh://user@host/x',
      `trusted ${key}`,
      'a:b@c',
      'x'.repeat(200),
    ]) {
      assert.equal(redactLine(line), line)
    }
  })
})
