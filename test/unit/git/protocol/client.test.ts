/** The client's parsers read what a server may send, however it is cut. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GitServerError, MAX_SERVER_WORDS, serverWords } from '../../../../src/git/protocol/client/errors.ts'
import { encodeFetch, isSelective, readFetch } from '../../../../src/git/protocol/client/fetch.ts'
import { type Greeting, parseRefLine, readGreeting } from '../../../../src/git/protocol/client/greeting.ts'
import { encodeLsRefs, MAX_REF_PREFIXES, readLsRefs } from '../../../../src/git/protocol/client/ls-refs.ts'
import { encodePush, NO_OID, readPushReport } from '../../../../src/git/protocol/client/push.ts'
import { readSideBand } from '../../../../src/git/protocol/client/side-band.ts'
import { encodePkt, FLUSH_PKT, PktReader } from '../../../../src/git/protocol/pkt-line.ts'
import { collect } from '../../../support/collect.ts'
import { chunksOf } from '../../../support/packages.ts'

const oid = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 40, maxLength: 40 })
const word = fc.string({
  unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-/.'),
  minLength: 1,
  maxLength: 30,
})
const ref = fc.record({ oid, name: word.map((text) => `refs/${text}`) }, { noNullPrototype: true })
const cut = fc.integer({ min: 1, max: 100 })

function reader(packets: readonly Buffer[], size: number): PktReader {
  return new PktReader(chunksOf(Buffer.concat(packets), size))
}

const line = (text: string) => encodePkt(`${text}\n`)

test('a greeting of version 2', async () => {
  const capabilities = fc.dictionary(word, word, { maxKeys: 20 })
  await fc.assert(
    fc.asyncProperty(capabilities, fc.boolean(), cut, async (offered, isNamed, size) => {
      const lines = Object.entries(offered).map(([name, value]) => line(`${name}=${value}`))
      const service = isNamed ? [line('# service=git-upload-pack'), FLUSH_PKT] : []
      const greeting = await readGreeting(reader([...service, line('version 2'), ...lines, FLUSH_PKT], size))
      assert.equal(greeting.version, 2)
      assert.deepEqual(Object.fromEntries(greeting.capabilities), { ...offered })
    }),
  )
})

test('a greeting of versions 0 and 1', async () => {
  const refs = fc.array(ref, { minLength: 1, maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(refs, fc.boolean(), cut, async (sent, isOne, size) => {
      const lines = sent.map(({ oid, name }, i) =>
        line(`${oid} ${name}${i === 0 ? '\0ofs-delta agent=x' : ''}`),
      )
      const others = [
        line(`${'2'.repeat(40)} refs/tags/x^{}`),
        line(`${'3'.repeat(40)} .have`),
        line(`shallow ${'4'.repeat(40)}`),
      ]
      const packets = [...(isOne ? [line('version 1')] : []), ...lines, ...others, FLUSH_PKT]
      const greeting = await readGreeting(reader(packets, size))
      assert.ok(greeting.version === 0)
      assert.deepEqual(
        [...greeting.capabilities],
        [
          ['ofs-delta', ''],
          ['agent', 'x'],
        ],
      )
      assert.deepEqual(await Array.fromAsync(greeting.refs), sent)
    }),
  )
})

test('the greeting of an empty repository', async () => {
  for (const packets of [[FLUSH_PKT], [encodePkt(`${NO_OID} capabilities^{}\0ofs-delta`), FLUSH_PKT]]) {
    const greeting = await readGreeting(reader(packets, 7))
    assert.ok(greeting.version === 0)
    assert.deepEqual(await Array.fromAsync(greeting.refs), [])
  }
})

test('refs of ls-refs, with what may follow them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ref, { maxLength: 20 }), cut, async (sent, size) => {
      const lines = sent.map(({ oid, name }, i) => line(`${oid} ${name}${i % 2 === 0 ? '' : ' peeled:x'}`))
      assert.deepEqual(await Array.fromAsync(readLsRefs(reader([...lines, FLUSH_PKT], size))), sent)
    }),
  )
  assert.throws(() => encodeLsRefs(new Map(), Array(MAX_REF_PREFIXES + 1).fill('refs/')), RangeError)
})

test('no text but a ref line is taken for one', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      try {
        const { oid, name } = parseRefLine(text)
        assert.ok(text === `${oid} ${name}` || text.startsWith(`${oid} ${name} `))
        assert.match(oid, /^[0-9a-f]{40}$/)
      } catch (error) {
        assert.match(String(error), /expected a ref/)
      }
    }),
  )
})

test('a multiplexed answer is taken apart', async () => {
  const part = fc.oneof(
    fc.record({ band: fc.constant(1), data: fc.uint8Array({ maxLength: 200 }) }),
    fc.record({ band: fc.constant(2), data: word.map((text) => new TextEncoder().encode(text)) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(part), cut, async (parts, size) => {
      const packets = parts.map(({ band, data }) => encodePkt(Buffer.concat([Buffer.from([band]), data])))
      const progress: string[] = []
      const read = readSideBand(reader([...packets, FLUSH_PKT], size), (words) => progress.push(words))
      const of = (band: number) => parts.filter((part) => part.band === band).map(({ data }) => data)
      assert.deepEqual(await collect(read), Buffer.concat(of(1)))
      assert.deepEqual(
        progress,
        of(2).map((data) => new TextDecoder().decode(data)),
      )
    }),
  )
})

const V2: Greeting = { version: 2, capabilities: new Map([['fetch', 'shallow filter']]) }
const V0: Greeting = {
  version: 0,
  capabilities: new Map([
    ['side-band-64k', ''],
    ['filter', ''],
    ['allow-any-sha1-in-want', ''],
  ]),
  refs: (async function* () {})(),
}

test('packs of both versions, whatever comes before them', async () => {
  const pack = [encodePkt('\u0001PACK'), encodePkt('\u0001 and more'), FLUSH_PKT]
  const sections = [line('shallow-info'), line('shallow x'), Buffer.from('0001'), line('packfile')]
  const acknowledged = [line(`ACK ${'1'.repeat(40)}`), line(`ACK ${'2'.repeat(40)}`)]
  for (const [greeting, packets] of [
    [V2, [line('packfile'), ...pack]],
    [V2, [...sections, ...pack]],
    [V0, [line('NAK'), ...pack]],
    [V0, [...acknowledged, ...pack]],
  ] as const) {
    assert.equal((await collect(readFetch(greeting, reader(packets, 5)))).toString(), 'PACK and more')
  }
  await assert.rejects(collect(readFetch(V0, reader(pack, 5))), /expected ACK or NAK/)
})

test('requests hold what they must', () => {
  const wants = ['1'.repeat(40), '2'.repeat(40)]
  const haves = ['3'.repeat(40)]
  const text = (greeting: Greeting) =>
    Buffer.concat([...encodeFetch(greeting, { wants, haves, omitBlobs: true })]).toString()
  assert.match(
    text(V2),
    /^\w{4}command=fetch\n0001\w{4}thin-pack\n\w{4}ofs-delta\n\w{4}filter blob:none\n0032want 1{40}\n0032want 2{40}\n0032have 3{40}\n0009done\n0000$/,
  )
  assert.match(
    text(V0),
    /^\w{4}want 1{40} side-band-64k filter\n0032want 2{40}\n\w{4}filter blob:none\n00000032have 3{40}\n0009done\n$/,
  )
  assert.throws(() => encodeFetch(V2, { wants: [], haves }), RangeError)
  const plain: Greeting = { version: 2, capabilities: new Map([['fetch', 'shallow']]) }
  assert.equal(isSelective(plain), false)
  assert.throws(() => encodeFetch(plain, { wants, haves, omitBlobs: true }), {
    code: 'ERR_GIT_UNSUPPORTED_SERVER',
  })
})

const COMMANDS = ['a', 'b'].map((name) => ({ ref: `refs/${name}`, before: NO_OID, after: '1'.repeat(40) }))

function report(...lines: readonly string[]): PktReader {
  const inner = Buffer.concat([...lines.map(line), FLUSH_PKT])
  const half = inner.length >> 1
  const band = (data: Buffer) => encodePkt(Buffer.concat([Buffer.from([1]), data]))
  return reader(
    [band(inner.subarray(0, half)), encodePkt('\u0002busy'), band(inner.subarray(half)), FLUSH_PKT],
    9,
  )
}

test('the report of a push', async () => {
  const read = (...lines: string[]) => readPushReport(report(...lines), COMMANDS)
  assert.deepEqual(
    [...(await read('unpack ok', 'ok refs/a', 'ng refs/b no \u0007way'))],
    [['refs/b', 'no way']],
  )
  await assert.rejects(read('unpack bad pack', 'ng refs/a x', 'ng refs/b x'), GitServerError)
  for (const lines of [
    ['ok refs/a'],
    ['unpack ok', 'ok refs/a'],
    ['unpack ok', 'ok refs/a', 'ok refs/a'],
    ['unpack ok', 'ok refs/a', 'ok refs/c'],
    ['unpack ok', 'maybe refs/a'],
  ]) {
    await assert.rejects(read(...lines), { code: 'ERR_GIT_PROTOCOL' })
  }
})

test('a push to a server that cannot report is not begun', () => {
  assert.throws(() => encodePush(new Map(), COMMANDS, chunksOf(Buffer.from('x'))), {
    code: 'ERR_GIT_UNSUPPORTED_SERVER',
  })
})

test('words of a server are one short line of what can be shown', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), (text) => {
      const words = serverWords(text)
      assert.doesNotMatch(words, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      assert.ok(words.length > 0 && words.length <= MAX_SERVER_WORDS + 1)
    }),
  )
})
