import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type EarlierRun, otherWork, readEarlierRun, timesAreOff, worseThan } from '../../bench/check.ts'
import { type Figure, roundRatios } from '../../bench/figures.ts'
import { parseOptions, UsageError } from '../../bench/options.ts'

/** A figure of three rounds, in which its yardstick took 1 each. */
function figure(
  section: string,
  name: string,
  unit: string,
  product: readonly number[],
  by = 'nginx',
): Figure {
  return { section, name, unit, product, yardstick: { name: by, samples: product.map(() => 1) } }
}

const MACHINE = {
  date: '2026-01-01',
  processor: 'some',
  cores: 2,
  memoryGiB: 24,
  node: '24',
  nix: '2',
  nginx: '1',
}
const EARLIER: EarlierRun = {
  machine: MACHINE,
  busyElsewhere: 0,
  run: { quick: false, generation: 'A' },
  set: { name: 'a corpus', paths: 2, narSize: 1000 },
  figures: [
    figure('Size of everything', 'files', 'MB', [0.4]),
    figure('NARs', 'gzip: all, wall', 's', [1.5, 1.8, 1.6]),
    figure('NARs', 'gzip: all, wall', 's', [1.5, 1.8, 1.6], 'another'),
    figure('NARs', 'gzip: NAR throughput', 'MB/s', [0.7, 0.5, 0.6]),
    figure('NARs', 'gzip: CPU of the server for 1 GB of NAR', 's', [2, 2.1, 2.05]),
    figure('NARs', 'gzip: peak memory of the server', 'MB', [12, 12.5, 12.2]),
    figure('Narinfos', 'latency, p95', 'ms', [1, 6, 2]),
    figure('Narinfos', 'latency, p99', 'ms', [1, 16, 3]),
    figure('Narinfos', 'latency, max', 'ms', [5, 23, 8]),
    figure('Narinfos', 'requests', '1/s', [0.8, 0.7, 0.75]),
    { section: 'Many', name: 'peak memory', unit: 'MB', product: [300] },
  ],
}

/** The run with other samples of the product in the figures whose names match. */
function changed(
  run: EarlierRun,
  names: RegExp,
  change: (value: number, round: number) => number,
): EarlierRun {
  const figures = run.figures.map((each) =>
    names.test(each.name) ? { ...each, product: each.product.map(change) } : each,
  )
  return { ...run, figures }
}

/** A run of one round: of each figure the one with the `pick`ed of the ratios. */
function oneRound(run: EarlierRun, pick: (...ratios: number[]) => number): EarlierRun {
  const figures = run.figures.map((each) => {
    const { product, yardstick } = each
    if (yardstick === undefined) return each
    const ratios = roundRatios(each)
    const round = ratios.indexOf(pick(...ratios))
    const samples = [yardstick.samples[round]!]
    return { ...each, product: [product[round]!], yardstick: { ...yardstick, samples } }
  })
  return { ...run, figures }
}

describe('a run of the benchmark, held against an earlier one', () => {
  it('passes when nothing has changed, with as many rounds or with any one of them', async () => {
    const committed = await Promise.all(
      ['results.json', 'results-own.json'].map((name) =>
        readEarlierRun(join(import.meta.dirname, '../../bench', name)),
      ),
    )
    for (const run of committed) assert.ok(run.figures.length > 50)
    for (const run of [EARLIER, ...committed]) {
      assert.deepEqual(worseThan(run, run), [])
      assert.deepEqual(worseThan(run, oneRound(run, Math.max)), [])
      assert.deepEqual(worseThan(run, oneRound(run, Math.min)), [])
    }
  })

  for (const [what, names, change, lines] of [
    ['time that doubles', /wall/, 2, ['NARs, gzip: all, wall, nginx', 'NARs, gzip: all, wall, another']],
    ['throughput that halves', /throughput/, 0.5, ['NARs, gzip: NAR throughput, nginx']],
    ['requests that halve', /requests/, 0.5, ['Narinfos, requests, nginx']],
    ['CPU that grows by a third', /CPU/, 1.33, ['NARs, gzip: CPU of the server for 1 GB of NAR, nginx']],
    ['memory that grows by a third', /memory/, 1.33, ['NARs, gzip: peak memory of the server, nginx']],
    ['size that grows by a twentieth', /files/, 1.05, ['Size of everything, files, nginx']],
  ] as const) {
    it(`names ${what}, in as many rounds and in a single one`, () => {
      const now = changed(EARLIER, names, (value) => value * change)
      const named = (run: EarlierRun): string[] =>
        worseThan(EARLIER, run).map((line) => line.replace(/: ratio [\d.]+ in the best round, was .*$/, ''))
      assert.deepEqual(named(now), lines)
      const worst = change > 1 ? Math.max : Math.min
      assert.deepEqual(named(oneRound(now, worst)), lines)
    })
  }

  it('lets a bad round pass among good ones, as the product is the same in all of them', () => {
    const now = changed(EARLIER, /wall/, (value, round) => (round === 1 ? value : 9 * value))
    assert.deepEqual(worseThan(EARLIER, now), [])
  })

  it('says how much worse it is, and what would do', () => {
    const [line] = worseThan(
      EARLIER,
      changed(EARLIER, /throughput/, (value) => value / 2),
    )
    assert.equal(
      line?.slice(line.indexOf('ratio')),
      'ratio 0.350 in the best round, was 0.500 in the worst; itself 0.350 MB/s, was 0.500; allowed: 1.4 times as bad',
    )
  })

  it('lets a yardstick become quicker on the same kind of machine, where the product has its own figure to be held to', () => {
    const figures = EARLIER.figures.map((each) =>
      each.yardstick === undefined || each.section.startsWith('Size')
        ? each
        : {
            ...each,
            yardstick: {
              ...each.yardstick,
              samples: each.yardstick.samples.map((value) =>
                /\/s$/.test(each.unit) ? value * 2 : value / 2,
              ),
            },
          },
    )
    const now = { ...EARLIER, figures }
    assert.deepEqual(worseThan(EARLIER, now), [])
    assert.equal(worseThan(EARLIER, { ...now, machine: { ...MACHINE, cores: 4 } }).length, 6)
  })

  it('leaves out times while others are busy, and nothing else', () => {
    const now = { ...changed(EARLIER, /./, (value) => value * 2), busyElsewhere: 0.5 }
    assert.equal(timesAreOff(now), true)
    assert.deepEqual(
      worseThan(EARLIER, now).map((line) => line.replace(/,.*/s, '')),
      ['Size of everything', 'NARs', 'NARs'],
    )
  })

  it('leaves out what a few requests decide', () => {
    const now = changed(EARLIER, /p95|p99|max/, (value) => value * 50)
    assert.deepEqual(worseThan(EARLIER, now), [])
  })

  it('leaves out a ratio to what took no time that shows', () => {
    const figures = EARLIER.figures.map((each) =>
      each.yardstick === undefined
        ? each
        : { ...each, yardstick: { ...each.yardstick, samples: each.product.map(() => 0) } },
    )
    assert.deepEqual(worseThan(EARLIER, { ...EARLIER, figures }), [])
    assert.deepEqual(worseThan({ ...EARLIER, figures }, EARLIER), [])
  })

  it('takes figures that are new, and names one that is gone while its yardstick is still there', () => {
    const without = (gone: (each: Figure) => boolean): EarlierRun => ({
      ...EARLIER,
      figures: EARLIER.figures.filter((each) => !gone(each)),
    })
    const fewer = without(({ name }) => name === 'requests')
    assert.deepEqual(worseThan(fewer, EARLIER), [])
    assert.deepEqual(worseThan(EARLIER, fewer), ['Narinfos, requests, nginx: is not measured any more'])
    // Whole yardsticks and sections are left out by an option, such as --xz, --scale or other caches.
    assert.deepEqual(
      worseThan(
        EARLIER,
        without(({ yardstick, section }) => yardstick?.name === 'another' || section === 'Many'),
      ),
      [],
    )
  })

  it('compares sizes only of the same packages, and nothing where the set is another one', () => {
    const larger = changed(EARLIER, /files/, (value) => value * 1.05)
    assert.deepEqual(worseThan(EARLIER, { ...larger, set: { ...EARLIER.set, narSize: 1001 } }), [])
    const other = worseThan(EARLIER, { ...EARLIER, set: { ...EARLIER.set, name: 'others' } })
    assert.deepEqual(other, ['the packages are others: others, were a corpus'])
  })

  it('says before it measures that the options ask for other work', () => {
    const options = (...args: string[]) => parseOptions([...args, '--check', 'results.json'])!
    const same = ['--corpus', '/corpus', '--generation', 'A']
    assert.equal(otherWork(EARLIER, options(...same)), undefined)
    assert.match(
      otherWork(EARLIER, options()) ?? '',
      /a corpus: compare by --corpus DIR --generation A without/,
    )
    assert.notEqual(otherWork(EARLIER, options(...same, '--quick')), undefined)
    assert.throws(() => options('--only-extra'), UsageError)
  })
})
