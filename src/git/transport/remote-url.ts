import { isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RemoteUrlError } from './errors.ts'

/** Where a Git repository is. `display` is for messages: it has no password. */
export type RemoteUrl = SshUrl | HttpUrl | FileUrl

export interface SshUrl {
  readonly kind: 'ssh'
  readonly display: string
  readonly host: string
  readonly user?: string
  readonly port?: number
  /** As the server is told. One that begins with `~` is below somebody's home. */
  readonly path: string
}

export interface HttpUrl {
  readonly kind: 'http'
  readonly display: string
  /** Without credentials, query and fragment, and without `/` at its end. */
  readonly base: string
  /** `user:password`, decoded. */
  readonly credentials?: string
}

export interface FileUrl {
  readonly kind: 'file'
  readonly display: string
  /** Absolute. */
  readonly path: string
}

/** Longest URL that is taken. */
const MAX_URL_LENGTH = 4096

const CONTROL = /\p{Cc}/u
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//
/** `user@host:path` or `host:path`, where no slash comes before the colon; an IPv6 address stands in brackets. */
const SCP = /^(?:([^@/:[\]]*)@)?(\[[^\]/]*\]|[^@/:[\]]*):(.*)$/

/**
 * Parses `ssh://[user@]host[:port]/path`, `[user@]host:path`, `http://…`, `https://…`, `file:///path` and plain paths.
 *
 * @throws RemoteUrlError names the rule
 */
export function parseRemoteUrl(text: string): RemoteUrl {
  if (text === '') throw new RemoteUrlError('the URL of a remote is empty')
  if (text.length > MAX_URL_LENGTH) throw new RemoteUrlError('the URL of a remote is too long')
  if (CONTROL.test(text)) {
    throw new RemoteUrlError(`the URL of a remote holds a control character: ${JSON.stringify(text)}`)
  }
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return parseWithoutScheme(text)
  if (!URL.canParse(text)) throw new RemoteUrlError(`not a URL: ${withoutPassword(text)}`)
  const url = new URL(text)
  if (scheme === 'ssh' || scheme === 'git+ssh' || scheme === 'ssh+git') return parseSsh(url, text)
  if (scheme === 'http' || scheme === 'https') return parseHttp(url)
  if (scheme === 'file') return parseFile(url, text)
  throw new RemoteUrlError(
    `${withoutPassword(text)}: ${scheme}:// is not among the ways to reach a remote; ` +
      'use ssh://, user@host:path, https://, http://, file:/// or a path',
  )
}

function parseWithoutScheme(text: string): RemoteUrl {
  const scp = SCP.exec(text)
  // As Git: a colon before the first slash makes it a host, and `./a:b` is how a path with one is written.
  if (scp === null) return { kind: 'file', display: text, path: resolve(text) }
  const [, user, host = '', path = ''] = scp
  if (path.startsWith(':')) {
    throw new RemoteUrlError(
      `${text}: Git's remote helpers (name::address) are not among the ways to reach a remote`,
    )
  }
  return sshUrl(host, user, undefined, path, text)
}

function parseSsh(url: URL, text: string): SshUrl {
  if (url.password !== '') {
    throw new RemoteUrlError(
      `${withoutPassword(text)}: SSH takes no password from a URL; use a key (store.ssh_private_key_path)`,
    )
  }
  if (url.search !== '' || url.hash !== '') {
    throw new RemoteUrlError(`${text}: write ? and # in the path of a remote as %3F and %23`)
  }
  const path = decoded(url.pathname, text)
  const port = url.port === '' ? undefined : Number(url.port)
  const user = url.username === '' ? undefined : decoded(url.username, text)
  // `/~user/path` is below a home, as Git has it.
  return sshUrl(decoded(url.hostname, text), user, port, path.startsWith('/~') ? path.slice(1) : path, text)
}

function sshUrl(
  bracketed: string,
  user: string | undefined,
  port: number | undefined,
  path: string,
  text: string,
): SshUrl {
  const host = bracketed.replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw new RemoteUrlError(`${text}: the host is missing`)
  if (host.startsWith('-')) throw new RemoteUrlError(`${text}: a host cannot begin with "-"`)
  if (user?.startsWith('-')) throw new RemoteUrlError(`${text}: a user cannot begin with "-"`)
  if (path === '' || path === '/') throw new RemoteUrlError(`${text}: the path of the repository is missing`)
  if (path.startsWith('-')) throw new RemoteUrlError(`${text}: write ./ before a path that begins with "-"`)
  if (CONTROL.test(path) || CONTROL.test(host)) {
    throw new RemoteUrlError(`${text}: a control character in a host or path`)
  }
  return {
    kind: 'ssh',
    display: text,
    host,
    path,
    ...(user === undefined || user === '' ? {} : { user }),
    ...(port === undefined ? {} : { port }),
  }
}

function parseHttp(url: URL): HttpUrl {
  const credentials =
    url.username === '' && url.password === ''
      ? undefined
      : `${decoded(url.username, url.host)}:${decoded(url.password, url.host)}`
  if (url.search !== '' || url.hash !== '') {
    throw new RemoteUrlError(`${url.origin}${url.pathname}: a remote's URL has neither query nor fragment`)
  }
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '')}`
  return { kind: 'http', display: base, base, ...(credentials === undefined ? {} : { credentials }) }
}

function parseFile(url: URL, text: string): FileUrl {
  try {
    const path = fileURLToPath(url)
    if (isAbsolute(path) && !CONTROL.test(path)) return { kind: 'file', display: text, path }
  } catch {
    // A host in it, or an encoded slash.
  }
  throw new RemoteUrlError(`${text}: write file:///path with an absolute path`)
}

function decoded(part: string, text: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new RemoteUrlError(`${withoutPassword(text)}: a % that does not begin an encoded character`)
  }
}

function withoutPassword(text: string): string {
  return text.replace(/(\/\/[^/@:]*):[^/@]*@/, '$1:…@')
}
