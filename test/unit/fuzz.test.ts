/**
 * A bounded run of every fuzz target: its seeds, the crashing inputs of earlier times, and some made inputs from a fixed
 * seed. `npm run fuzz` is the long form.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { mutate } from '../fuzz/mutate.ts'
import { Random } from '../fuzz/random.ts'
import { fuzz } from '../fuzz/supervise.ts'
import { loadTarget, targetNames } from '../fuzz/targets.ts'

const RUNS = 300
const SEED = 1

describe('fuzzing', { concurrency: 2 }, () => {
  for (const name of targetNames()) {
    it(name, async () => {
      const report = await fuzz(name, { seed: SEED, runs: RUNS })
      const { failure } = report
      assert.equal(
        failure,
        undefined,
        failure && `${failure.kind}: ${failure.message}\nkept as ${failure.file}`,
      )
      assert.ok(report.runs >= RUNS)
    })
  }
})

describe('mutation engine', () => {
  it('makes the same inputs from the same seed, within the length asked for', async () => {
    const corpus = [Buffer.from('some words'), Buffer.alloc(300, 7), Buffer.alloc(0)]
    const options = { corpus, tokens: [Buffer.from('token')], maxLength: 400 }
    const [first, second, other] = [new Random(3), new Random(3), new Random(4)]
    let differences = 0
    for (let i = 0; i < 3000; i++) {
      const data = mutate(first, options)
      assert.ok(data.equals(mutate(second, options)))
      assert.ok(data.length <= 400)
      if (!data.equals(mutate(other, options))) differences++
    }
    assert.ok(differences > 2000)
    assert.ok(corpus[0]?.equals(Buffer.from('some words')), 'the corpus is not changed')
  })

  it('refuses targets that there are not', async () => {
    await assert.rejects(loadTarget('nothing'), /no fuzz target nothing/)
  })
})

describe('supervisor', { concurrency: 4 }, () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gachix-fuzz-test-'))
  })
  after(() => rm(directory, { recursive: true }))

  /** A target as a file of its own; the supervisor takes any module that exports one. */
  async function failing(
    name: string,
    run: string,
    hangAfter = 10_000,
  ): Promise<{ kind: string; message: string; kept: string[] }> {
    const file = join(directory, `${name}.mjs`)
    await writeFile(
      file,
      `export const target = { name: '${name}', maxMemory: 64, seeds: () => [Buffer.from('seed')], run(data) { ${run} } }`,
    )
    const crashes = join(directory, 'crashes')
    const report = await fuzz(name, { seed: SEED, runs: 10, crashes, file, hangAfter })
    assert.ok(report.failure !== undefined)
    const kept = await readdir(join(crashes, name))
    return { kind: report.failure.kind, message: report.failure.message, kept }
  }

  it('reports what is thrown, with its input', async () => {
    const { kind, message, kept } = await failing('throws', "throw new TypeError('a defect')")
    assert.equal(kind, 'threw')
    assert.match(message, /TypeError: a defect/)
    // SHA-256 of "seed"
    assert.deepEqual(kept, ['19b25856e1c150ca834cffc8b59b23adbd0ec038.bin'])
  })

  it('ends a run that hangs', async () => {
    assert.equal((await failing('hangs', 'for (;;);', 500)).kind, 'hang')
    assert.equal((await failing('waits', 'return new Promise(() => {})', 500)).kind, 'hang')
  })

  it('notices memory beyond the bound, inside and outside of the heap', async () => {
    const { kind } = await failing('swells', 'globalThis.kept = Buffer.alloc(200 << 20, 1)')
    assert.equal(kind, 'memory')
    const heap = await failing(
      'overflows',
      'const list = []; for (;;) list.push({ data: [data.length, list.length] })',
    )
    assert.equal(heap.kind, 'died')
  })

  it('notices a process that ends', async () => {
    assert.equal((await failing('exits', 'process.exit(3)')).kind, 'died')
  })
})
