/** Reads what a node logs while it runs: everything goes to a file, and what must not be there is named. */
import type { ChildProcess } from 'node:child_process'
import type { WriteStream } from 'node:fs'

export interface LogWatch {
  /** Lines of the file. */
  readonly file: WriteStream
  /** A line that no healthy node writes. */
  readonly problem: (line: string) => void
  /** How often each warning came, by its text without what differs from case to case. */
  readonly warnings: Map<string, number>
}

/** What Node itself says of leaks and of errors that nobody takes. */
const RUNTIME = /MaxListenersExceeded|Unhandled|uncaught|DeprecationWarning|out of memory/i

/**
 * @param written what the node has written before it was watched
 */
export function watchLog(child: ChildProcess, written: string, watch: LogWatch): void {
  let rest = ''
  const take = (text: string): void => {
    watch.file.write(text)
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) judge(line, watch)
  }
  take(written)
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', take)
}

function judge(line: string, { problem, warnings }: LogWatch): void {
  const entry = parse(line)
  if (entry === undefined) {
    // Node's own words come without JSON around them, and a healthy node gives it no reason for any.
    if (line !== '') problem(line)
    return
  }
  if (entry.level === 'error' || RUNTIME.test(line)) problem(line)
  else if (entry.level === 'warn') {
    const text = entry.msg.replaceAll(/[0-9a-z]{20,}[^ ,:;)]*|12D3\w+|\d+/g, '…')
    warnings.set(text, (warnings.get(text) ?? 0) + 1)
  }
}

function parse(line: string): { level: string; msg: string } | undefined {
  try {
    const { level, msg } = JSON.parse(line)
    return typeof level === 'string' ? { level, msg: String(msg) } : undefined
  } catch {
    return undefined
  }
}
