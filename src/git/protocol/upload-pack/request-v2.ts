/** Requests of protocol version 2 (`gitprotocol-v2`). */
import { isOid, type Oid } from '../../oid.ts'
import type { ObjectFilter } from '../../walk/select.ts'
import { type PktReader, pktText } from '../pkt-line.ts'
import { UploadPackError } from './errors.ts'

/** Above this many prefixes all refs are listed, as Git does. */
const MAX_REF_PREFIXES = 65_536
/** Wants of one request, and haves: a mirror of a large repository wants all of its refs at once. */
export const MAX_IDS = 500_000
/** Capabilities, or other lines that say nothing of objects and refs, in one request. */
const MAX_OTHER_LINES = 256

export interface LsRefsRequest {
  readonly command: 'ls-refs'
  /** Empty for all refs. */
  readonly prefixes: readonly string[]
  readonly peel: boolean
  readonly symrefs: boolean
  readonly unborn: boolean
}

export interface FetchRequest {
  readonly command: 'fetch'
  readonly wants: readonly Oid[]
  readonly haves: readonly Oid[]
  readonly filter?: ObjectFilter
  readonly done: boolean
  /** The client decides when the pack comes; it is never told that it may be at once. */
  readonly waitForDone: boolean
  readonly includeTag: boolean
  readonly progress: boolean
}

export type V2Request = LsRefsRequest | FetchRequest

/**
 * Reads one request; `undefined` when the client has no more.
 *
 * @throws PktLineError, UploadPackError
 */
export async function readV2Request(reader: PktReader): Promise<V2Request | undefined> {
  const first = await reader.read()
  if (first === undefined || first.type === 'flush') return undefined
  const command = first.type === 'data' ? /^command=(.*)$/.exec(pktText(first.payload))?.[1] : undefined
  if (command !== 'ls-refs' && command !== 'fetch')
    throw new UploadPackError('expected "command=ls-refs" or "command=fetch"')
  const hasArguments = await readCapabilities(reader)
  return command === 'ls-refs' ? readLsRefs(reader, hasArguments) : readFetch(reader, hasArguments)
}

/** Passes over the capabilities that a client names; tells whether arguments follow. */
async function readCapabilities(reader: PktReader): Promise<boolean> {
  for (let lines = 0; lines <= MAX_OTHER_LINES; lines++) {
    const packet = await reader.read()
    if (packet?.type === 'flush') return false
    if (packet?.type === 'delimiter') return true
    if (packet?.type !== 'data') throw new UploadPackError('the request ends before its arguments')
    const format = /^object-format=(.*)$/.exec(pktText(packet.payload))?.[1]
    if (format !== undefined && format !== 'sha1')
      throw new UploadPackError('this repository has SHA-1 object ids (object-format=sha1)')
  }
  throw tooMany('capabilities', MAX_OTHER_LINES)
}

/** Hands over the arguments of a command, up to the flush packet that ends them. */
async function readArguments(
  reader: PktReader,
  present: boolean,
  handle: (line: string) => void,
): Promise<void> {
  while (present) {
    const packet = reader.buffered() ?? (await reader.read())
    if (packet?.type === 'flush') return
    if (packet?.type !== 'data') throw new UploadPackError('the request does not end with a flush packet')
    handle(pktText(packet.payload))
  }
}

async function readLsRefs(reader: PktReader, hasArguments: boolean): Promise<LsRefsRequest> {
  const prefixes: string[] = []
  const flags = new Set<string>()
  await readArguments(reader, hasArguments, (line) => {
    if (line.startsWith('ref-prefix ')) {
      if (prefixes.length <= MAX_REF_PREFIXES) prefixes.push(line.slice('ref-prefix '.length))
    } else if (line === 'peel' || line === 'symrefs' || line === 'unborn') flags.add(line)
    else throw unknownArgument('ls-refs', line)
  })
  return {
    command: 'ls-refs',
    prefixes: prefixes.length > MAX_REF_PREFIXES ? [] : prefixes,
    peel: flags.has('peel'),
    symrefs: flags.has('symrefs'),
    unborn: flags.has('unborn'),
  }
}

const FETCH_FLAGS: ReadonlySet<string> = new Set([
  'done',
  'thin-pack',
  'no-progress',
  'include-tag',
  'ofs-delta',
  'wait-for-done',
])

async function readFetch(reader: PktReader, hasArguments: boolean): Promise<FetchRequest> {
  const wants = new Set<Oid>()
  const haves = new Set<Oid>()
  const flags = new Set<string>()
  let filter: ObjectFilter | undefined
  await readArguments(reader, hasArguments, (line) => {
    if (FETCH_FLAGS.has(line)) flags.add(line)
    else if (line.startsWith('want ')) addId(wants, line, 'want')
    else if (line.startsWith('have ')) addId(haves, line, 'have')
    else if (line.startsWith('filter ')) filter = parseFilter(line.slice('filter '.length))
    else if (isShallowLine(line)) throw shallowRefused()
    else throw unknownArgument('fetch', line)
  })
  return {
    command: 'fetch',
    wants: [...wants],
    haves: [...haves],
    ...(filter !== undefined && { filter }),
    done: flags.has('done'),
    waitForDone: flags.has('wait-for-done'),
    includeTag: flags.has('include-tag'),
    progress: !flags.has('no-progress'),
  }
}

/** Adds the id of a line `want <id>` or `have <id>`. @throws UploadPackError when it has none, or there are too many */
export function addId(ids: Set<Oid>, line: string, kind: 'want' | 'have'): void {
  const oid = line.slice(kind.length + 1)
  if (!isOid(oid)) throw new UploadPackError(`a "${kind}" line without an object id of 40 hexadecimal digits`)
  if (ids.size >= MAX_IDS) throw tooMany(`${kind} lines`, MAX_IDS)
  ids.add(oid)
}

/** @throws UploadPackError for a filter that is not known */
export function parseFilter(text: string): ObjectFilter {
  if (text === 'blob:none' || text === 'tree:0') return text
  throw new UploadPackError('of all filters this node knows blob:none and tree:0')
}

/** Whether a line asks for a part of the history only. */
export function isShallowLine(line: string): boolean {
  return /^(?:shallow|deepen)(?:-|\s|$)/.test(line)
}

export function shallowRefused(): UploadPackError {
  return new UploadPackError(
    "shallow clones are not served: a package's ancestors are the packages that it needs; clone without --depth",
  )
}

function unknownArgument(command: string, line: string): UploadPackError {
  return new UploadPackError(`unknown argument of ${command}: ${JSON.stringify(line.slice(0, 40))}`)
}

function tooMany(what: string, limit: number): UploadPackError {
  return new UploadPackError(`more than ${limit} ${what} in one request`)
}
