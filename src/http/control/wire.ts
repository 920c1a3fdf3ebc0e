/**
 * What goes over the control socket: HTTP/1.1 with JSON bodies. `add` and `list` answer with lines of JSON, of which the
 * last holds `result` or `error`; when it is missing, the node vanished. Internal to one version of gachix.
 */

import * as z from 'zod'
import type { AddEvent } from '../../store/add-event.ts'
import type { AddRequest, AddSummary, NodeStatus, PackageDetails, PackageSummary } from './api.ts'
import type { SourceStatus } from './sync-api.ts'

export const ROUTES = {
  add: '/v1/add',
  list: '/v1/list',
  info: '/v1/info',
  status: '/v1/status',
} as const

/** Most bytes of a request's body: room for 100,000 store paths. */
export const MAX_REQUEST_SIZE = 16 * 1024 * 1024
/** Most characters of one line of an answer; a package with 20,000 references has 2 million. */
export const MAX_LINE_LENGTH = 16 * 1024 * 1024
/** Most characters of a path in a request. */
export const MAX_PATH_LENGTH = 4096
const MAX_PATHS = 100_000

/** A path, a name or a URL. */
export const path = z.string().min(1).max(MAX_PATH_LENGTH)
export const paths = z.array(path).max(MAX_PATHS)
export const count = z.number().int().nonnegative()

export const addRequestSchema = z.strictObject({
  paths,
  single: z.boolean(),
  daemonSocket: path.exactOptional(),
  from: path.exactOptional(),
}) satisfies z.ZodType<AddRequest>

export const errorSchema = z.object({ code: z.string(), message: z.string() })

/** One line of a streamed answer. */
export const lineSchema = z.union([
  z.object({ event: z.unknown() }),
  z.object({ result: z.unknown() }),
  z.object({ error: errorSchema }),
])

export const addEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('closure'),
    paths: count,
    bytes: count,
    missing: count,
    missingBytes: count,
  }),
  z.object({
    type: z.literal('package'),
    path: z.string(),
    narSize: count,
    outcome: z.enum(['added', 'present']),
  }),
  z.object({ type: z.literal('bytes'), bytes: count }),
]) satisfies z.ZodType<AddEvent>

export const addSummarySchema = z.object({
  paths: count,
  added: count,
  present: count,
  bytes: count,
  stored: count,
  seconds: z.number(),
}) satisfies z.ZodType<AddSummary>

export const packageSummarySchema = z.object({
  hash: z.string(),
  path: z.string(),
  narSize: count,
  references: count,
}) satisfies z.ZodType<PackageSummary>

export const packageDetailsSchema = z.object({
  path: z.string(),
  narHash: z.string(),
  narSize: count,
  references: z.array(z.string()),
  deriver: z.string().nullable(),
  signatures: z.array(z.string()),
  ca: z.string().nullable(),
  tree: z.string(),
  commit: z.string().nullable(),
  url: z.string(),
  gzip: z.object({ url: z.string(), size: count, sha256: z.string() }).nullable(),
  closure: z.object({ paths: count, narSize: count, complete: z.boolean() }),
}) satisfies z.ZodType<PackageDetails>

export const sourceStatusSchema = z.object({
  name: z.string(),
  kind: z.string(),
  url: z.string(),
  requireSignatures: z.boolean(),
  state: z.enum(['unused', 'ok', 'failing']),
  requests: count,
  failures: count,
  latency: z.number().nullable(),
  bytesReceived: count,
  bytesSent: count,
  packages: count,
  narBytes: count,
  lastError: z.object({ code: z.string(), message: z.string(), at: z.string() }).nullable(),
}) satisfies z.ZodType<SourceStatus>

export const nodeStatusSchema = z.object({
  version: z.string(),
  pid: count,
  uptime: z.number(),
  process: z.object({
    rss: count,
    heapUsed: count,
    external: count,
    handles: z.record(z.string(), count),
    listeners: count,
  }),
  store: z.object({ path: z.string(), storeDir: z.string(), packages: count }),
  http: z.object({ url: z.string() }).nullable(),
  publicKey: z.string().nullable(),
  sources: z.array(sourceStatusSchema),
  mesh: z
    .object({
      id: z.string(),
      addresses: z.array(z.string()),
      network: z.string(),
      connected: count,
      load: z.object({ connections: count, streams: count, listeners: count }),
    })
    .nullable(),
}) satisfies z.ZodType<NodeStatus>
