/**
 * Runs `work` on every item, at most `concurrency` at once, starting them in order. `work` may `push` further
 * items, which come last. After a failure nothing new is started; what runs is waited for, then the first error
 * is thrown.
 */
export function concurrently<T>(
  items: Iterable<T>,
  concurrency: number,
  work: (item: T, push: (item: T) => void) => Promise<void>,
): Promise<void> {
  const queue = [...items]
  const push = (item: T) => void queue.push(item)
  let next = 0
  let running = 0
  let failure: { readonly error: unknown } | undefined
  return new Promise((resolve, reject) => {
    const advance = () => {
      while (failure === undefined && running < concurrency && next < queue.length) {
        running++
        work(queue[next++] as T, push)
          .catch((error: unknown) => {
            failure ??= { error }
          })
          .then(() => {
            running--
            advance()
          })
      }
      if (running > 0) return
      if (failure !== undefined) reject(failure.error)
      else resolve()
    }
    advance()
  })
}
