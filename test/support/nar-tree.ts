import * as fc from 'fast-check'
import type { NarHandler } from '../../src/nix/nar/handler.ts'
import { NarReader, type NarReaderOptions } from '../../src/nix/nar/reader.ts'
import { NarFramer } from '../../src/nix/nar/writer.ts'

/** A NAR's contents in memory, as the golden cases have them; names, targets and contents in base 64. */
export type NarTree =
  | { type: 'regular'; executable: boolean; contents: string; offset?: number }
  | { type: 'symlink'; target: string }
  | { type: 'directory'; entries: { name: string; node: NarTree }[] }

/** Collects what a reader tells into a tree, with the offsets of the contents. */
export class TreeBuilder implements NarHandler {
  root: NarTree | undefined
  readonly #open: { name: string; node: NarTree }[][] = []
  #name = ''
  #file: { executable: boolean; size: number; offset: number; parts: Buffer[] } | undefined

  directoryStart(): void {
    const entries: { name: string; node: NarTree }[] = []
    this.#add({ type: 'directory', entries })
    this.#open.push(entries)
  }

  entry(name: Buffer): void {
    this.#name = name.toString('base64')
  }

  directoryEnd(): void {
    this.#open.pop()
  }

  fileStart(executable: boolean, size: number, offset: number): void {
    this.#file = { executable, size, offset, parts: [] }
  }

  fileData(chunk: Uint8Array): void {
    if (chunk.length === 0) throw new Error('empty chunk of contents')
    this.#file?.parts.push(Buffer.from(chunk))
  }

  fileEnd(): void {
    if (this.#file === undefined) throw new Error('fileEnd without fileStart')
    const { executable, size, offset, parts } = this.#file
    const contents = Buffer.concat(parts)
    if (contents.length !== size) throw new Error(`got ${contents.length} bytes of a file of ${size}`)
    this.#add({ type: 'regular', executable, contents: contents.toString('base64'), offset })
    this.#file = undefined
  }

  symlink(target: Buffer): void {
    this.#add({ type: 'symlink', target: target.toString('base64') })
  }

  #add(node: NarTree): void {
    const parent = this.#open.at(-1)
    if (parent === undefined) this.root = node
    else parent.push({ name: this.#name, node })
  }
}

/** Reads a whole NAR that is cut into the given chunks. */
export function readNarTree(chunks: Iterable<Uint8Array>, options?: NarReaderOptions): NarTree {
  const builder = new TreeBuilder()
  const reader = new NarReader(builder, options)
  for (const chunk of chunks) {
    if (reader.push(chunk) < chunk.length) throw new Error('bytes after the end')
  }
  reader.finish()
  if (builder.root === undefined) throw new Error('no root')
  return builder.root
}

/** Writes a tree as a NAR with the framer; entries are written in the order in which they stand. */
export function writeNarTree(tree: NarTree): Buffer {
  const framer = new NarFramer()
  const parts: Buffer[] = []
  const write = (node: NarTree): void => {
    if (node.type === 'symlink') {
      framer.symlink(Buffer.from(node.target, 'base64'))
    } else if (node.type === 'regular') {
      const contents = Buffer.from(node.contents, 'base64')
      framer.fileOpen(node.executable, contents.length)
      parts.push(framer.take(), contents)
      framer.fileClose(contents.length)
    } else {
      framer.directoryOpen()
      for (const entry of node.entries) {
        framer.entryOpen(Buffer.from(entry.name, 'base64'))
        write(entry.node)
        framer.entryClose()
      }
      framer.directoryClose()
    }
  }
  framer.start()
  write(tree)
  parts.push(framer.take())
  return Buffer.concat(parts)
}

/** The bytes in pieces; the lengths are used in turn and over again, and must not all be 0. */
export function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length]!
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** Lengths for `cut`: small ones, some 0. */
export const cutLengths = fc
  .array(fc.oneof(fc.nat({ max: 9 }), fc.nat({ max: 200 })), { minLength: 1, maxLength: 8 })
  .filter((lengths) => lengths.some((length) => length > 0))

const bytes = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))

const entryName = fc
  .oneof(
    bytes(1, 24),
    fc.constantFrom('.git', 'a', 'a.b', 'a-b', 'A', '__proto__', '...', 'é').map((text) => Buffer.from(text)),
  )
  .map((name) => Buffer.from(name.map((byte) => (byte === 0 || byte === 0x2f ? 0x5f : byte))))
  .filter((name) => !['.', '..'].includes(name.toString('latin1')))

const { tree } = fc.letrec<{ tree: NarTree; leaf: NarTree; directory: NarTree }>((tie) => ({
  tree: fc.oneof({ maxDepth: 4, withCrossShrink: true }, tie('leaf'), tie('directory')),
  leaf: fc.oneof(
    fc.record({
      type: fc.constant('regular' as const),
      executable: fc.boolean(),
      contents: bytes(0, 40).map((contents) => contents.toString('base64')),
    }),
    fc.record({
      type: fc.constant('symlink' as const),
      target: bytes(1, 30).map((target) => Buffer.from(target.map((byte) => byte || 1)).toString('base64')),
    }),
  ),
  directory: fc
    .array(fc.tuple(entryName, tie('tree')), { maxLength: 5 })
    .map((entries) => ({ type: 'directory' as const, entries: sorted(entries) })),
}))

/** Trees that a NAR can hold, entries sorted. */
export const narTrees: fc.Arbitrary<NarTree> = tree

function sorted(entries: readonly [Buffer, NarTree][]): { name: string; node: NarTree }[] {
  const unique = new Map(entries.map(([name, node]) => [name.toString('base64'), { name, node }]))
  return [...unique.values()]
    .sort((a, b) => Buffer.compare(a.name, b.name))
    .map(({ name, node }) => ({ name: name.toString('base64'), node }))
}
