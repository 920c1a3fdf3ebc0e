import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, it } from 'node:test'
import { addProgress } from '../../../src/cli/progress.ts'
import type { SyncEvent } from '../../../src/store/sync-event.ts'

const EVENTS: SyncEvent[] = [
  { type: 'closure', paths: 3, bytes: 3072, missing: 2, missingBytes: 2048 },
  { type: 'package', path: '/nix/store/x-there', narSize: 1024, outcome: 'present' },
  { type: 'bytes', bytes: 512 },
  { type: 'package', path: '/nix/store/x-one', narSize: 1024, outcome: 'added' },
  { type: 'waiting', sources: ['peer', 'other'], milliseconds: 500 },
  { type: 'package', path: '/nix/store/x-two', narSize: 1024, outcome: 'added' },
  { type: 'bytes', bytes: 2048 },
]

function show(isTTY: boolean): string {
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 80,
    cursorTo: () => true,
    clearLine: () => true,
  })
  const progress = addProgress(stream as unknown as NodeJS.WriteStream)
  for (const event of EVENTS) progress.event(event)
  progress.end()
  progress.end()
  return String(stream.read() ?? '')
}

describe('the progress of an add or a pull', () => {
  it('is a line for each package away from a terminal', () => {
    assert.equal(
      show(false),
      `2 packages to add (2.0 KiB), 1 already there
[1/2] /nix/store/x-one (1.0 KiB)
trying peer, other again in 0.5 s
[2/2] /nix/store/x-two (1.0 KiB)
`,
    )
  })

  it('is a bar on a terminal, which leaves the cursor visible', () => {
    const text = show(true)
    assert.match(text, /of 2\.0 KiB \| \d\/2 packages/)
    assert.ok(text.lastIndexOf('\u001b[?25h') > text.lastIndexOf('\u001b[?25l'))
  })
})
