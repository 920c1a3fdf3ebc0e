/** Schemas of what goes over the control socket for `SyncOperations`. */
import * as z from 'zod'
import type { SyncEvent } from '../../store/sync-event.ts'
import type { PushRequest, PushSummary, RemoteCheck, SyncRequest, SyncSummary } from './sync-api.ts'
import { addEventSchema, count, errorSchema, path, paths } from './wire.ts'

export const SYNC_ROUTES = {
  sync: '/v1/sync',
  push: '/v1/push',
  sources: '/v1/sources',
  checkRemotes: '/v1/check-remotes',
} as const

export const syncRequestSchema = z.strictObject({
  paths,
  from: path.exactOptional(),
}) satisfies z.ZodType<SyncRequest>

export const pushRequestSchema = z.strictObject({ remote: path, paths }) satisfies z.ZodType<PushRequest>

export const checkRequestSchema = z.strictObject({ remotes: paths })

export const syncEventSchema = z.union([
  addEventSchema,
  z.object({ type: z.literal('received'), bytes: count, sources: count }),
  z.object({ type: z.literal('skipped'), path: z.string(), code: z.string(), message: z.string() }),
  z.object({ type: z.literal('waiting'), sources: z.array(z.string()), milliseconds: z.number() }),
  z.object({ type: z.literal('source-failed'), source: z.string(), code: z.string(), message: z.string() }),
]) satisfies z.ZodType<SyncEvent>

export const syncSummarySchema = z.object({
  added: count,
  bytes: count,
  present: count,
  received: count,
  skipped: count,
  sources: z.record(z.string(), count),
  seconds: z.number(),
}) satisfies z.ZodType<SyncSummary>

export const pushSummarySchema = z.object({
  added: count,
  bytes: count,
  present: count,
  differing: count,
  sent: count,
  seconds: z.number(),
}) satisfies z.ZodType<PushSummary>

export const remoteCheckSchema = z.object({
  name: z.string(),
  url: z.string(),
  works: z
    .object({
      transport: z.string(),
      version: count,
      selective: z.boolean(),
      packages: count,
      latency: z.number(),
    })
    .exactOptional(),
  problem: errorSchema.exactOptional(),
}) satisfies z.ZodType<RemoteCheck>
