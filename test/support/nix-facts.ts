/** What the real Nix says, in our words. */
import { parseHash } from '../../src/nix/hash.ts'
import type { PathInfo } from '../../src/nix/path-info.ts'
import { StorePath } from '../../src/nix/store-path.ts'
import type { NixStore, PathFacts } from './nix.ts'

/** The path info that a source must give for what Nix says of a path that nobody signed. */
export function pathInfoOf(fact: PathFacts): PathInfo {
  return {
    storePath: StorePath.parse(fact.path),
    narHash: parseHash(fact.narHash, 'sha256'),
    narSize: fact.narSize,
    references: fact.references.map((path) => StorePath.parse(path)),
    signatures: [],
    ...(fact.deriver === undefined ? {} : { deriver: StorePath.parse(fact.deriver) }),
    ...(fact.ca === undefined ? {} : { ca: fact.ca }),
  }
}

/** Variables that make the Nix of a session use this store. */
export function sessionOf(nix: NixStore): Record<string, string> {
  const names = ['NIX_CONF_DIR', 'NIX_USER_CONF_FILES', 'XDG_CACHE_HOME']
  return Object.fromEntries(names.map((name) => [name, nix.env[name] ?? '']))
}
