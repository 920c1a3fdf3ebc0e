import { CacheInfoFormatError } from './errors.ts'
import { quote } from './quote.ts'

/** What a binary cache says of itself in `nix-cache-info`. */
export interface CacheInfo {
  /** Store directory of its packages; absent when it does not say. */
  readonly storeDir?: string
  readonly wantMassQuery: boolean
  /** Rank among caches, lower is asked first; 0 when it does not say. */
  readonly priority: number
}

/** Longest `nix-cache-info` that is read, in characters; real ones have under a hundred. */
export const MAX_CACHE_INFO_SIZE = 16 * 1024

/**
 * Reads `nix-cache-info` as Nix does: the key is what stands before the first colon of a line, the value is trimmed, lines
 * without a colon and unknown keys are skipped.
 *
 * @throws CacheInfoFormatError for text that is too long or a `Priority` that is no whole number
 */
export function parseCacheInfo(text: string): CacheInfo {
  if (text.length > MAX_CACHE_INFO_SIZE) {
    throw new CacheInfoFormatError(`nix-cache-info has more than ${MAX_CACHE_INFO_SIZE} characters`)
  }
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':')
    if (colon !== -1) values.set(line.slice(0, colon), line.slice(colon + 1).trim())
  }
  const priority = values.get('Priority') ?? '0'
  if (!/^-?\d{1,9}$/.test(priority)) {
    throw new CacheInfoFormatError(`the Priority ${quote(priority)} of nix-cache-info is not a whole number`)
  }
  const storeDir = values.get('StoreDir')
  return {
    wantMassQuery: values.get('WantMassQuery') === '1',
    priority: Number(priority),
    ...(storeDir !== undefined && { storeDir }),
  }
}
