/**
 * The container image, built from the Dockerfile without an engine: by buildah, in a chroot, on a base image that is made here of
 * Debian, this machine's npm and the Node that the tests run. Layers are kept between runs.
 */
import { cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { attempt, run, runLines } from '../support/process.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'gachix-tests')
const STORAGE = ['--root', join(CACHE, 'containers'), '--runroot', join(CACHE, 'containers-run')]
const SUITE = 'bookworm'
const BASE = `localhost/gachix-test-node:${process.versions.node}-${SUITE}`
const IMAGE = 'localhost/gachix-test'

/** What an image says of how it wants to be run, as engines read it. */
export interface ImageConfig {
  readonly User: string
  readonly Env: readonly string[]
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly WorkingDir: string
  readonly StopSignal: string
  readonly Volumes: Readonly<Record<string, unknown>>
  readonly ExposedPorts: Readonly<Record<string, unknown>>
  readonly Healthcheck: { readonly Test: readonly string[] }
}

async function buildah(...args: string[]): Promise<string> {
  return (await run('buildah', [...STORAGE, ...args], { timeout: 600_000 })).toString().trim()
}

/** The image, its files where this machine can see them. */
export class Image implements AsyncDisposable {
  readonly config: ImageConfig
  /** Its root folder. */
  readonly root: string
  readonly #container: string

  private constructor(config: ImageConfig, root: string, container: string) {
    this.config = config
    this.root = root
    this.#container = container
  }

  static async build(): Promise<Image> {
    await mkdir(CACHE, { recursive: true })
    await ensureBase()
    const flags = ['--isolation', 'chroot', '--format', 'docker', '--layers', '--pull-never', '--quiet']
    await buildah('build', ...flags, '--build-arg', `NODE_IMAGE=${BASE}`, '--tag', IMAGE, CHECKOUT)
    const inspected = JSON.parse(await buildah('inspect', '--type', 'image', IMAGE)) as {
      Docker: { config: ImageConfig }
    }
    const container = await buildah('from', '--pull-never', IMAGE)
    return new Image(inspected.Docker.config, await buildah('mount', container), container)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await buildah('umount', this.#container)
    await buildah('rm', this.#container)
  }
}

/** What stands for node:24-slim: a small Debian with node and npm in /usr/local. */
async function ensureBase(): Promise<void> {
  const known = await attempt('buildah', [...STORAGE, 'inspect', '--type', 'image', BASE])
  if (known.code === 0) return
  const archive = join(CACHE, `${SUITE}.tar`)
  await run('mmdebstrap', ['--quiet', '--variant=apt', '--include=ca-certificates', SUITE, archive])
  const container = await buildah('from', 'scratch')
  await buildah('add', '--quiet', container, archive, '/')
  await rm(archive)
  const root = await buildah('mount', container)
  const local = join(root, 'usr/local')
  await cp(process.execPath, join(local, 'bin/node'))
  await mkdir(join(local, 'lib/node_modules'), { recursive: true })
  await cp(await npmFolder(), join(local, 'lib/node_modules/npm'), { recursive: true, dereference: true })
  for (const name of ['npm', 'npx']) {
    const program = `#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`
    await writeFile(join(local, 'bin', name), program, { mode: 0o755 })
  }
  await trustAsHere(root)
  await buildah('umount', container)
  await buildah(
    'config',
    '--env',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    container,
  )
  await buildah('commit', '--quiet', '--rm', container, BASE)
}

/** This machine may reach its package registries by certificates of its own. */
async function trustAsHere(root: string): Promise<void> {
  const bundle = 'etc/ssl/certs/ca-certificates.crt'
  await cp(join('/', bundle), join(root, bundle))
  await mkdir(join(root, 'usr/local/etc'), { recursive: true })
  await writeFile(join(root, 'usr/local/etc/npmrc'), `cafile=/${bundle}\nupdate-notifier=false\n`)
}

/** Where the npm that is called lies. */
async function npmFolder(): Promise<string> {
  const [program] = await runLines('sh', ['-c', 'realpath "$(command -v npm)"'])
  return join(dirname(program!), '..')
}
