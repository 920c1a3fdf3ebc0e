import type { GitTransport } from './connection.ts'
import { HttpTransport } from './http-transport.ts'
import { LocalTransport } from './local-transport.ts'
import type { RemoteUrl } from './remote-url.ts'
import { SshTransport, type SshTransportOptions } from './ssh-transport.ts'

/** The way to what a URL names. Nothing is run yet. */
export function openTransport(url: RemoteUrl, ssh: SshTransportOptions = {}): GitTransport {
  switch (url.kind) {
    case 'ssh':
      return new SshTransport(url, ssh)
    case 'http':
      return new HttpTransport(url)
    case 'file':
      return new LocalTransport(url)
  }
}
