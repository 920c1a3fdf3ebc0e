/** Compose files as tests need them: their services with what starts them, extensions and merges resolved. */
import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'

export interface ComposeService {
  readonly environment: Readonly<Record<string, string>>
  readonly entrypoint: readonly string[]
  readonly command: readonly string[]
  readonly ports: readonly { readonly published: number; readonly target: number }[]
  readonly volumes: readonly {
    readonly source: string
    readonly target: string
    readonly readOnly: boolean
  }[]
  /** Services that must have ended well before. */
  readonly after: readonly string[]
  readonly healthcheck: readonly string[]
}

export interface ComposeFile {
  /** As it was written, for its schema. */
  readonly document: unknown
  readonly services: ReadonlyMap<string, ComposeService>
  /** Named volumes. */
  readonly volumes: readonly string[]
}

type Written = {
  services: Record<string, Record<string, unknown>>
  volumes?: Record<string, unknown>
}

export async function readCompose(file: string): Promise<ComposeFile> {
  const document = parse(await readFile(file, 'utf8'), { merge: true }) as Written
  const services = new Map(
    Object.entries(document.services).map(([name, service]) => [name, serviceOf(service)]),
  )
  return { document, services, volumes: Object.keys(document.volumes ?? {}) }
}

function serviceOf(written: Record<string, unknown>): ComposeService {
  const list = (name: string) => (written[name] ?? []) as string[]
  const conditions = (written.depends_on ?? {}) as Record<string, { condition: string }>
  return {
    environment: (written.environment ?? {}) as Record<string, string>,
    entrypoint: list('entrypoint'),
    command: list('command'),
    ports: list('ports').map((text) => {
      const [target, published] = text.split(':').reverse()
      return { published: Number(published), target: Number(target) }
    }),
    volumes: list('volumes').map((text) => {
      const [source, target, mode] = text.split(':')
      return { source: source!, target: target!, readOnly: mode === 'ro' }
    }),
    after: Object.keys(conditions).filter(
      (name) => conditions[name]!.condition === 'service_completed_successfully',
    ),
    healthcheck: ((written.healthcheck ?? {}) as { test?: string[] }).test ?? [],
  }
}
