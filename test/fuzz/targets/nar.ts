/** NAR reader: any chunking sees the same, and what is accepted encodes back to the same bytes. */
import assert from 'node:assert/strict'
import type { NarHandler } from '../../../src/nix/nar/handler.ts'
import { NarReader } from '../../../src/nix/nar/reader.ts'
import { NarFramer } from '../../../src/nix/nar/writer.ts'
import { GachixError } from '../../../src/util/errors.ts'
import type { FuzzTarget } from '../target.ts'

type Node = string | { readonly target: string } | { readonly [name: string]: Node }

const TOKENS = [
  ...[
    'nix-archive-1',
    '(',
    ')',
    'type',
    'regular',
    'contents',
    'executable',
    '',
    'symlink',
    'target',
    'directory',
  ],
  ...['entry', 'name', 'node', 'a', '.', '..', 'a/b', 'a\0b'],
]

export const target: FuzzTarget = {
  name: 'nar',
  tokens: TOKENS.map(word),

  seeds: () => [
    encode('content'),
    encode(''),
    encode({ target: '/nix/store/somewhere' }),
    encode({}),
    encode({
      bin: { link: { target: 'run' }, run: '#!/bin/sh\n' },
      empty: {},
      share: { a: 'x'.repeat(300), b: '12345678' },
    }),
    encode(nested(20)),
  ],

  run(data) {
    const whole = events(data, data.length)
    for (const size of [1, 7, 8, 64])
      assert.deepEqual(events(data, size).log, whole.log, `chunks of ${size} bytes`)
    if (whole.error !== undefined) throw whole.error
    assert.ok(whole.encoded.equals(data.subarray(0, whole.position)))
  },
}

/** Strings are files; one that begins with `#!` is executable. */
function encode(root: Node): Buffer {
  const framer = new NarFramer()
  const parts: Buffer[] = []
  const add = (node: Node): void => {
    if (typeof node === 'string') {
      framer.fileOpen(node.startsWith('#!'), node.length)
      parts.push(framer.take(), Buffer.from(node))
      framer.fileClose(node.length)
    } else if (typeof node.target === 'string') {
      framer.symlink(Buffer.from(node.target))
    } else {
      framer.directoryOpen()
      for (const [name, child] of Object.entries(node)) {
        framer.entryOpen(Buffer.from(name))
        add(child)
        framer.entryClose()
      }
      framer.directoryClose()
    }
  }
  framer.start()
  add(root)
  return Buffer.concat([...parts, framer.take()])
}

function nested(depth: number): Node {
  return depth === 0 ? 'leaf' : { d: nested(depth - 1) }
}

function word(text: string): Buffer {
  const bytes = Buffer.from(text)
  const padded = Buffer.alloc(8 + Math.ceil(bytes.length / 8) * 8)
  padded.writeUInt32LE(bytes.length, 0)
  bytes.copy(padded, 8)
  return padded
}

interface Reading {
  readonly log: string[]
  readonly encoded: Buffer
  readonly position: number
  readonly error: GachixError | undefined
}

/** Reads in chunks of `size` bytes: what the handler was told, the NAR encoded anew, how it ended. */
function events(data: Buffer, size: number): Reading {
  const log: string[] = []
  const framer = new NarFramer()
  const parts: Buffer[] = []
  const open: boolean[] = []
  let fileSize = 0
  let contents: Buffer[] = []
  const closeEntry = (): void => {
    if (open.at(-1) === true) framer.entryClose()
    if (open.length > 0) open[open.length - 1] = false
  }
  const handler: NarHandler = {
    directoryStart() {
      log.push('directory')
      framer.directoryOpen()
      open.push(false)
    },
    entry(name) {
      log.push(`entry ${name.toString('hex')}`)
      framer.entryOpen(name)
      open[open.length - 1] = true
    },
    directoryEnd() {
      log.push('end')
      framer.directoryClose()
      open.pop()
      closeEntry()
    },
    fileStart(executable, length, offset) {
      log.push(`file ${executable} ${length} at ${offset}`)
      framer.fileOpen(executable, length)
      fileSize = length
      contents = []
    },
    fileData(chunk) {
      assert.ok(chunk.length > 0)
      contents.push(Buffer.from(chunk))
    },
    fileEnd() {
      const content = Buffer.concat(contents)
      assert.equal(content.length, fileSize)
      log.push(`content ${content.toString('hex')}`)
      parts.push(framer.take(), content)
      framer.fileClose(fileSize)
      closeEntry()
    },
    symlink(linkTarget) {
      log.push(`symlink ${linkTarget.toString('hex')}`)
      framer.symlink(linkTarget)
      closeEntry()
    },
  }
  framer.start()
  const reader = new NarReader(handler)
  let error: GachixError | undefined
  try {
    for (let at = 0; at < data.length && !reader.done; at += Math.max(1, size)) {
      reader.push(data.subarray(at, at + Math.max(1, size)))
    }
    reader.finish()
  } catch (thrown) {
    if (!(thrown instanceof GachixError)) throw thrown
    error = thrown
    log.push(thrown.message)
  }
  return { log, encoded: Buffer.concat([...parts, framer.take()]), position: reader.position, error }
}
