import { isHashPart } from '../nix/store-path.ts'
import { parseRequestPath } from './request-path.ts'

/** What a request is for. */
export type Route =
  | { readonly to: 'landing' | 'health' | 'cache-info' }
  | { readonly to: 'narinfo' | 'listing'; readonly hash: string }
  | { readonly to: 'nar'; readonly tree: string }
  | { readonly to: 'gzip-nar'; readonly tree: string; readonly id: string }
  | { readonly to: 'package-nar'; readonly hash: string; readonly narHash: string }
  | { readonly to: 'malformed'; readonly reason: string }
  | { readonly to: 'unknown' }

const NAR_FILE = /^([0-9a-f]{40})\.(?:nar|([0-9A-Za-z]{1,128})\.nar\.gz)$/
/** Hash part of the store path and SHA-256 of the NAR, both in nix32. */
const PACKAGE_NAR_FILE = /^([0-9a-df-np-sv-z]{32})-([01][0-9a-df-np-sv-z]{51})\.nar$/
const UNKNOWN: Route = { to: 'unknown' }

/**
 * Maps a request target to a route. A path that has the form of one of ours but a bad hash or id in it is `malformed`
 * (400), all else that we do not serve is `unknown` (404).
 */
export function matchRoute(target: string): Route {
  const segments = parseRequestPath(target)
  if (segments === undefined) return { to: 'malformed', reason: 'the path cannot be decoded' }
  const [first = '', second] = segments
  if (segments.length === 1) return matchRoot(first)
  return segments.length === 2 && first === 'nar' && second !== undefined ? matchNar(second) : UNKNOWN
}

function matchRoot(name: string): Route {
  if (name.endsWith('.narinfo')) return matchHash('narinfo', name.slice(0, -8))
  if (name.endsWith('.ls')) return matchHash('listing', name.slice(0, -3))
  switch (name) {
    case '':
      return { to: 'landing' }
    case 'health':
      return { to: 'health' }
    case 'nix-cache-info':
      return { to: 'cache-info' }
    default:
      return UNKNOWN
  }
}

function matchHash(to: 'narinfo' | 'listing', hash: string): Route {
  if (isHashPart(hash)) return { to, hash }
  return { to: 'malformed', reason: 'a store path hash has 32 characters of 0-9 a-z without e, o, t, u' }
}

function matchNar(file: string): Route {
  const [, hash, narHash] = PACKAGE_NAR_FILE.exec(file) ?? []
  if (hash !== undefined && narHash !== undefined) return { to: 'package-nar', hash, narHash }
  const match = NAR_FILE.exec(file)
  if (match === null) {
    if (!file.endsWith('.nar') && !file.endsWith('.nar.gz')) return UNKNOWN
    return {
      to: 'malformed',
      reason:
        'a NAR is nar/<40 hex digits>.nar, nar/<40 hex digits>.<id>.nar.gz or nar/<hash part>-<NAR hash>.nar',
    }
  }
  const [, tree = '', id] = match
  return id === undefined ? { to: 'nar', tree } : { to: 'gzip-nar', tree, id }
}
