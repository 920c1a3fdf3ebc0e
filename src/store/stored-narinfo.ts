import { isOid, type Oid } from '../git/oid.ts'
import { formatStoredNarInfo, parseNarInfo } from '../nix/narinfo.ts'
import type { PathInfo } from '../nix/path-info.ts'
import { GachixError } from '../util/errors.ts'

/** A narinfo blob in the repository cannot be read. */
export class StoredNarInfoError extends GachixError {
  constructor(hash: string, reason: string) {
    super('ERR_STORED_NARINFO', `the narinfo of package ${hash} in the repository is damaged: ${reason}`)
  }
}

/** The narinfo blob of a package, in the form of `protocol/SPEC.md`. */
export function storedNarInfo(info: PathInfo, tree: Oid): Buffer {
  return Buffer.from(formatStoredNarInfo(info, `nar/${tree}.nar`))
}

/**
 * Reads a narinfo blob back. Blobs of the original gachix are taken too: it wrote references and deriver as full paths.
 *
 * @throws StoredNarInfoError
 */
export function parseStoredNarInfo(
  hash: string,
  text: string,
  storeDir: string,
): { info: PathInfo; tree: Oid } {
  let narinfo: ReturnType<typeof parseNarInfo>
  try {
    narinfo = parseNarInfo(text, { storeDir, lenient: true })
  } catch (error) {
    throw new StoredNarInfoError(hash, error instanceof Error ? error.message : String(error))
  }
  if (narinfo.storePath.hash !== hash)
    throw new StoredNarInfoError(hash, `it is that of ${narinfo.storePath}`)
  const tree = /^nar\/([0-9a-f]{40})\.nar$/.exec(narinfo.url)?.[1]
  if (tree === undefined || !isOid(tree))
    throw new StoredNarInfoError(hash, `its URL is ${JSON.stringify(narinfo.url)}`)
  const { storePath, narHash, narSize, references, deriver, signatures, ca } = narinfo
  const info: PathInfo = {
    storePath,
    narHash,
    narSize,
    references,
    signatures,
    ...(deriver === undefined ? {} : { deriver }),
    ...(ca === undefined ? {} : { ca }),
  }
  return { info, tree }
}
