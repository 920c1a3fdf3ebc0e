/**
 * URL of a worker's module beside `importerUrl`. The sources run as `.ts` (tests, development) and as `.js` (built),
 * and a worker's file name is not rewritten by the compiler as an import is.
 */
export function workerUrl(importerUrl: string, name: string): URL {
  return new URL(`./${name}${importerUrl.endsWith('.ts') ? '.ts' : '.js'}`, importerUrl)
}
