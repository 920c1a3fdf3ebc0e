/** The chunks of a source, with something done before each that does not come at once. */
export async function* whileWaiting(
  source: AsyncIterable<Uint8Array>,
  act: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]()
  let done = false
  try {
    for (;;) {
      const next = iterator.next()
      const soon = new Promise<false>((resolve) => setImmediate(resolve, false))
      // A failure of the source comes up in the line after the next.
      if (!(await Promise.race([next.then(isThere, isThere), soon]))) await act()
      const result = await next
      done = result.done === true
      if (result.done) return
      yield result.value
    }
  } finally {
    // Not waited for: it comes after what the source is doing now, which only its signal ends.
    if (!done) iterator.return?.().catch(() => {})
  }
}

function isThere(): true {
  return true
}
