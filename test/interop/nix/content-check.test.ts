/** Contents of every kind of content address that Nix makes are proven by the address, and others are not. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import * as fc from 'fast-check'
import { createContentCheck } from '../../../src/nix/content-check.ts'
import { parseHash } from '../../../src/nix/hash.ts'
import type { PathInfo } from '../../../src/nix/path-info.ts'
import { StorePath } from '../../../src/nix/store-path.ts'
import { NixStore } from '../../support/nix.ts'

/** A path that refers to itself many times, and to another one. */
const SELF = `
derivation {
  name = "self";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "for i in 1 2 3 4 5 6 7 8 9; do echo $out \${builtins.toFile "other" "text"} $out; done > $out" ];
}
`

describe('content addresses of the real Nix', () => {
  let store: NixStore
  const cases = new Map<string, { info: PathInfo; nar: Buffer }>()

  before(async () => {
    store = await NixStore.start()
    const folder = join(store.root, 'files')
    await mkdir(join(folder, 'tree'), { recursive: true })
    await writeFile(join(folder, 'file'), 'contents\n'.repeat(1000))
    await writeFile(join(folder, 'tree/a'), 'a')
    await writeFile(join(folder, 'self.nix'), SELF)
    const file = join(folder, 'file')
    const line = async (...command: string[]): Promise<string> =>
      (await store.inside(command)).toString().trim()
    const evaluate = (text: string): Promise<string> =>
      line('nix-instantiate', '--read-write-mode', '--eval', '--expr', text).then(
        (path) => JSON.parse(path) as string,
      )
    const paths: Record<string, string> = {
      'fixed:sha256:': await line('nix-store', '--add-fixed', 'sha256', file),
      'fixed:sha1:': await line('nix-store', '--add-fixed', 'sha1', file),
      'fixed:sha512:': await line('nix-store', '--add-fixed', 'sha512', file),
      'fixed:md5:': await line('nix-store', '--add-fixed', 'md5', file),
      'fixed:r:sha256:': await store.add(join(folder, 'tree')),
      'fixed:r:sha1:': await line('nix-store', '--add-fixed', '--recursive', 'sha1', join(folder, 'tree')),
      'text:sha256:': await evaluate('builtins.toFile "plain" "text"'),
      'text:sha256: with references': await evaluate(
        `builtins.toFile "refers" "to \${builtins.toFile "plain" "text"}"`,
      ),
    }
    const [self] = await store.build([], { file: join(folder, 'self.nix') })
    const made = await line('nix', 'store', 'make-content-addressed', '--json', self!)
    paths['fixed:r:sha256: of itself'] = (JSON.parse(made) as { rewrites: Record<string, string> }).rewrites[
      self!
    ]!
    for (const [kind, path] of Object.entries(paths)) {
      const [facts] = await store.facts([path])
      const { narHash, narSize, references, ca = '' } = facts!
      assert.ok(ca.startsWith(kind.split(' ')[0]!), `${kind}: ${ca}`)
      const info: PathInfo = {
        storePath: StorePath.parse(path),
        narHash: parseHash(narHash, 'sha256'),
        narSize,
        references: references.map((reference) => StorePath.parse(reference)),
        signatures: [],
        ca,
      }
      cases.set(kind, { info, nar: await store.dump(path) })
    }
    assert.equal(cases.get('fixed:r:sha256: of itself')?.info.references.length, 2)
  })
  after(() => store?.close())

  function checked(info: PathInfo, nar: Uint8Array, size = nar.length): void {
    const check = createContentCheck(info)
    assert.ok(check)
    for (let at = 0; at < nar.length; at += size) check.update(nar.subarray(at, at + size))
    check.finish()
  }

  it('prove what they address, in pieces of any size', () => {
    for (const { info, nar } of cases.values()) {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 100 }), (size) => checked(info, nar, size)),
        { numRuns: 10 },
      )
      checked(info, nar)
    }
  })

  it('prove nothing else', () => {
    for (const [kind, { info, nar }] of cases) {
      const other = Buffer.from(nar)
      // A letter of the contents.
      const marks = ['contents\n', 'text\0', '/nix/store', 'a\0\0\0\0\0\0\0']
      const place = Math.max(...marks.map((mark) => other.lastIndexOf(mark)))
      assert.ok(place > 0)
      other[place] = other[place]! ^ 1
      assert.throws(() => checked(info, other), { code: 'ERR_CONTENT_ADDRESS_MISMATCH' }, kind)
      const elsewhere = {
        ...info,
        references: [...info.references, StorePath.parse(`/nix/store/${'1'.repeat(32)}-x`)],
      }
      assert.throws(() => checked(elsewhere, nar), { code: 'ERR_CONTENT_ADDRESS_MISMATCH' }, kind)
    }
  })

  it('of one file do not prove a directory, a link, or a program', () => {
    const { info } = cases.get('fixed:sha256:')!
    for (const [kind, { nar }] of cases) {
      if (kind.startsWith('fixed:r:sha') && !kind.endsWith('itself'))
        assert.throws(() => checked(info, nar), {
          code: 'ERR_CONTENT_ADDRESS_MISMATCH',
          message: /a directory/,
        })
    }
  })

  it('are needed for a check', () => {
    const { info } = cases.get('fixed:sha256:')!
    const { ca: _, ...without } = info
    assert.equal(createContentCheck(without), undefined)
  })

  it('of paths that refer to themselves tell their own hash part from the zeros that it is hashed as', () => {
    const { info, nar } = cases.get('fixed:r:sha256: of itself')!
    const zeroed = Buffer.from(nar)
    zeroed.fill(0, zeroed.indexOf(info.storePath.hash), zeroed.indexOf(info.storePath.hash) + 32)
    assert.throws(() => checked(info, zeroed), { code: 'ERR_CONTENT_ADDRESS_MISMATCH' })
  })
})
