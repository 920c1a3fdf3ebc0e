/** Commands that ask a running node load nothing of what makes one: it takes longer to load than they take. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path/posix'
import { test } from 'node:test'

const CHECKOUT = join(import.meta.dirname, '../..')
/** An import that is loaded with the file: not of types alone, and not by `import()`. */
const STATIC = /^(?:import|export)\s+(?!type\b)(?:[^'";]*?\bfrom\s+)?'([^']+)'/gm
/** What takes long to load, and parts that only a node, or a command without one, needs. */
const HEAVY =
  /^(?:pino|pino-pretty|isomorphic-git|libp2p|koa|@libp2p\/.*|src\/(?:store|sync|peers\/(?:mesh|swarm))\/.*|src\/workspace\.ts)$/

/** All that a file loads, itself and packages among it, each with who asks for it. */
async function loadedBy(file: string): Promise<Map<string, string>> {
  const loaded = new Map([[file, '']])
  for (const each of loaded.keys()) {
    if (!each.endsWith('.ts')) continue
    const source = await readFile(join(CHECKOUT, each), 'utf8')
    for (const [, specifier] of source.matchAll(STATIC)) {
      const target = specifier!.startsWith('.') ? normalize(join(dirname(each), specifier!)) : specifier!
      if (!loaded.has(target)) loaded.set(target, each)
    }
  }
  return loaded
}

test('a command loads neither the store nor the logger before it knows that it needs them', async () => {
  const loaded = await loadedBy('src/cli/run.ts')
  assert.ok(loaded.has('commander') && loaded.has('src/http/control/client.ts'), 'the imports were found')
  const heavy = [...loaded].filter(([target]) => HEAVY.test(target))
  assert.deepEqual(
    heavy.map(([target, by]) => `${target}, for ${by}`),
    [],
  )
})

test('a node does load them, so the test would notice', async () => {
  const loaded = await loadedBy('src/node.ts')
  for (const target of ['src/store/package-store.ts', 'src/workspace.ts', 'koa'])
    assert.ok(loaded.has(target) && HEAVY.test(target), target)
})

test('only the parts of zod that are used are bundled: it is imported as a namespace', async () => {
  const loaded = await loadedBy('src/node.ts')
  const users = [...loaded.keys()].filter((target) => target.startsWith('src/'))
  for (const file of users)
    assert.doesNotMatch(await readFile(join(CHECKOUT, file), 'utf8'), /^import \{[^}]*\} from 'zod'/m, file)
})
