/** Operations whose answers a test decides. */
import type {
  AddOptions,
  AddRequest,
  AddSummary,
  NodeStatus,
  Operations,
  PackageDetails,
  PackageSummary,
} from '../../src/http/control/api.ts'
import type { AbortOptions } from '../../src/util/lifecycle.ts'

export const SUMMARY: AddSummary = { paths: 3, added: 2, present: 1, bytes: 1000, stored: 500, seconds: 1.5 }

export const DETAILS: PackageDetails = {
  path: '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a',
  narHash: 'sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s',
  narSize: 120,
  references: [],
  deriver: null,
  signatures: ['a:b'],
  ca: null,
  tree: 'a'.repeat(40),
  commit: null,
  url: 'nar/a.nar',
  gzip: null,
  closure: { paths: 1, narSize: 120, complete: true },
}

export const STATUS: NodeStatus = {
  version: '1.2.3',
  pid: 7,
  uptime: 1.25,
  store: { path: '/srv/cache', storeDir: '/nix/store', packages: 3 },
  http: { url: 'http://localhost:8080' },
  publicKey: null,
}

export class MemoryOperations implements Operations {
  /** Requests that came in. */
  readonly requests: AddRequest[] = []
  /** What `info` was asked for. */
  readonly targets: string[] = []
  /** Operations that are under way. */
  running = 0
  /** Packages that `list` gives. */
  packages = 0
  /** Does the work of `add`. */
  work: (options: AddOptions) => Promise<AddSummary> = async () => SUMMARY

  async add(request: AddRequest, options: AddOptions = {}): Promise<AddSummary> {
    this.requests.push(request)
    this.running++
    try {
      return await this.work(options)
    } finally {
      this.running--
    }
  }

  async *list(options: AbortOptions = {}): AsyncGenerator<PackageSummary> {
    this.running++
    try {
      for (let index = 0; index < this.packages; index++) {
        options.signal?.throwIfAborted()
        yield { hash: `${index}`, path: `/nix/store/${index}`, narSize: index, references: 2 }
      }
    } finally {
      this.running--
    }
  }

  async info(target: string): Promise<PackageDetails | undefined> {
    this.targets.push(target)
    return target === 'absent' ? undefined : DETAILS
  }

  async status(): Promise<NodeStatus> {
    return STATUS
  }
}

/** Work that goes on until it is aborted. */
export function untilAborted({ signal }: AddOptions): Promise<never> {
  return new Promise((_, reject) => {
    signal!.addEventListener('abort', () => reject(signal!.reason))
  })
}
