import type { SourceSetting } from '../../config/sources.ts'
import { createBuilderSource } from '../../ingest/builder/source.ts'
import { createGitRemote } from '../../ingest/remote/git-remote.ts'
import { errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

/** A hash part that no path has: whether the machine answers is the question. */
const NOBODY = '0'.repeat(32)

/** Whether builders, remotes and upstream caches answer, and whether their packages can be trusted at all. */
export const sourcesCheck: Check = { name: 'sources', run }

async function* run(context: CheckContext): AsyncGenerator<Finding> {
  const { builders, remotes, upstreams } = context.config.store
  for (const [kind, settings] of Object.entries({ builders, remotes, upstreams })) {
    for (const setting of settings) yield* trust(setting, `store.${kind}`, context)
  }
  const answers = await Promise.all([
    ...builders.map((setting) => ask('BUILDER_UNREACHABLE', setting, context, askBuilder)),
    ...remotes.map((setting) => ask('REMOTE_UNREACHABLE', setting, context, askRemote)),
    ...upstreams.map((setting) => ask('UPSTREAM_UNREACHABLE', setting, context, askUpstream)),
  ])
  yield* answers.flat()
}

/** Keys decide before anything is fetched, so a source without any gives nothing. */
function* trust(setting: SourceSetting, key: string, { config }: CheckContext): Generator<Finding> {
  if (!setting.requireSignatures) {
    yield doubtful(
      'SOURCE_BELIEVED',
      `${setting.name} of ${key} is believed without signatures: it can put any contents under any name`,
      'list its key under public_keys and leave require_signatures at true',
    )
  } else if (setting.publicKeys.length + config.trust.publicKeys.length === 0) {
    yield doubtful(
      'SOURCE_NOT_TRUSTED',
      `no key is trusted for ${setting.name} of ${key}: of its packages only content-addressed ones are taken`,
      'put its public key (gachix key show there) under trust.public_keys',
    )
  }
}

type Ask = (setting: SourceSetting, context: CheckContext) => Promise<void>

async function ask(
  code: string,
  setting: SourceSetting,
  context: CheckContext,
  how: Ask,
): Promise<Finding[]> {
  try {
    await how(setting, context)
    return []
  } catch (error) {
    return [broken(code, `${setting.name}: ${errorMessage(error)}`, MENDS[code]!)]
  }
}

const MENDS: Readonly<Record<string, string>> = {
  BUILDER_UNREACHABLE:
    'make "ssh HOST nix-daemon --stdio" work there without a password, as the user of the node',
  REMOTE_UNREACHABLE:
    'make "git ls-remote URL" work as the user of the node, or take the remote out of store.remotes',
  UPSTREAM_UNREACHABLE: 'open URL/nix-cache-info from this machine, or take the cache out of store.upstreams',
}

const askBuilder: Ask = async ({ name, url }, { config, signal }) => {
  const { storeDir, sshPrivateKeyPath } = config.store
  const source = createBuilderSource(
    { name, url },
    { storeDir, ...(sshPrivateKeyPath !== undefined && { identityFile: sshPrivateKeyPath }) },
  )
  try {
    await source.pathInfo(NOBODY, { signal })
  } finally {
    source.close()
  }
}

const askRemote: Ask = async ({ name, url }, { config, signal }) => {
  const { sshPrivateKeyPath } = config.store
  const remote = createGitRemote({
    url,
    name,
    ...(sshPrivateKeyPath !== undefined && { identityFile: sshPrivateKeyPath }),
  })
  await remote.check({ signal })
}

const askUpstream: Ask = async ({ url }, { signal }) => {
  if (url.startsWith('file:')) return
  const response = await fetch(`${url.replace(/\/+$/, '')}/nix-cache-info`, { signal })
  await response.body?.cancel()
  if (response.status !== 200) throw new Error(`it answers /nix-cache-info with ${response.status}`)
}
