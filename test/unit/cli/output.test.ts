import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { describe, it } from 'node:test'
import { Output } from '../../../src/cli/output.ts'

/** A stream that takes so many characters and then fails. */
function failingAfter(limit: number, code: string): { stream: Writable; text: () => string } {
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (text.length >= limit) return done(Object.assign(new Error(code), { code }))
      text += chunk.toString()
      done()
    },
  })
  return { stream, text: () => text }
}

async function* numbers(from: number, to: number): AsyncGenerator<number> {
  for (let number = from; number < to; number++) yield number
}

describe('Output', () => {
  it('writes values as one JSON array, also when there are none', async () => {
    for (const end of [0, 1, 3, 20_000]) {
      const { stream, text } = failingAfter(Number.POSITIVE_INFINITY, '')
      const output = new Output(stream)
      await output.jsonArray(numbers(0, end))
      await output.flush()
      assert.deepEqual(
        JSON.parse(text()),
        Array.from({ length: end }, (_, i) => i),
      )
      assert.ok(text().endsWith(']\n'))
    }
  })

  it('drops what nobody reads, and lets the writer know', async () => {
    const { stream } = failingAfter(1, 'EPIPE')
    const output = new Output(stream)
    let taken = 0
    async function* endless() {
      for (;;) yield ++taken
    }
    await output.jsonArray(endless())
    assert.ok(output.closed)
    await output.line('more')
    await output.flush()
  })

  it('reports a full disk', async () => {
    const { stream } = failingAfter(0, 'ENOSPC')
    const output = new Output(stream)
    await output.line('x')
    await assert.rejects(output.flush(), { code: 'ENOSPC' })
  })
})
