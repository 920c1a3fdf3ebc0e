import { createHash } from 'node:crypto'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { compareStorePaths } from '../../src/nix/store-path.ts'
import { storePathOf } from './memory-source.ts'
import { type NarTree, writeNarTree } from './nar-tree.ts'

/** A made-up package: its facts and its NAR. */
export interface MadePackage {
  readonly info: PathInfo
  readonly nar: Buffer
}

/** Makes a package of the given contents that refers to packages made under the given names. */
export function makePackage(
  name: string,
  contents: NarTree,
  references: readonly string[] = [],
): MadePackage {
  const nar = writeNarTree(contents)
  const info: PathInfo = {
    storePath: storePathOf(name),
    narHash: { algorithm: 'sha256', digest: createHash('sha256').update(nar).digest() },
    narSize: nar.length,
    references: references.map(storePathOf).sort(compareStorePaths),
    signatures: [],
  }
  return { info, nar }
}

/** A regular file of a tree. */
export function file(contents: string | Uint8Array, executable = false): NarTree {
  return { type: 'regular', executable, contents: Buffer.from(contents).toString('base64') }
}

export function symlink(target: string): NarTree {
  return { type: 'symlink', target: Buffer.from(target).toString('base64') }
}

/** A directory, its entries put in NAR order. */
export function directory(entries: Readonly<Record<string, NarTree>>): NarTree {
  const named = Object.entries(entries).map(([name, node]) => ({ bytes: Buffer.from(name), node }))
  named.sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  return {
    type: 'directory',
    entries: named.map(({ bytes, node }) => ({ name: bytes.toString('base64'), node })),
  }
}

/** The NAR as a stream, cut into pieces. */
export async function* chunksOf(nar: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < nar.length; at += size) yield nar.subarray(at, at + size)
}

/** A small closure of packages with many kinds of contents, in order: references first. */
export function sampleClosure(): MadePackage[] {
  const text = 'all work and no play makes jack a dull boy\n'.repeat(5000)
  const noise = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i * 31 + (i >> 7)) & 0xff))
  const many = Object.fromEntries(
    Array.from({ length: 200 }, (_, i) => [`f${i}`, file(`file number ${i}\n`)]),
  )
  return [
    makePackage('libc', directory({ lib: directory({ 'libc.so': file(noise), 'libc.a': file(text) }) })),
    makePackage('empty', directory({})),
    makePackage('script', file('#!/bin/sh\necho hello\n', true), ['libc']),
    makePackage('link', symlink('/nix/store/somewhere'), ['script']),
    makePackage(
      'tool',
      directory({
        bin: directory({ tool: file(text.slice(7), true), again: file(text) }),
        share: directory({ ...many, nothing: directory({}), empty: file('') }),
      }),
      ['libc', 'script', 'tool'],
    ),
    makePackage('large', directory({ data: file(text.repeat(20)) }), ['tool', 'empty', 'link']),
  ]
}
