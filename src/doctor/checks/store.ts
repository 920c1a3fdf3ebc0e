import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Pack } from '../../git/pack/pack.ts'
import { PackedRefs } from '../../git/refs/packed-refs.ts'
import { Repository } from '../../git/repository.ts'
import { errorCode, errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

const OPENING: Readonly<Record<string, readonly [code: string, mend: string]>> = {
  ERR_NOT_A_REPOSITORY: [
    'STORE_NOT_A_REPOSITORY',
    'set store.path to an empty folder, to one that does not exist yet, or to a repository',
  ],
  ERR_UNSUPPORTED_REPOSITORY: [
    'STORE_UNSUPPORTED',
    'set store.path to another repository; gachix serve makes one that it can use',
  ],
  ERR_REPOSITORY_PERMISSION: ['STORE_UNREADABLE', 'run gachix as the user who owns the repository'],
}

/** Whether there is a repository that can be opened, and whether its packs and refs are whole at a glance. */
export const storeCheck: Check = { name: 'store', run }

async function* run({ config, gitDir }: CheckContext): AsyncGenerator<Finding> {
  const { path } = config.store
  if (gitDir === undefined && (await isNothing(path))) {
    yield doubtful('STORE_MISSING', `there is no repository at ${path} yet`, 'gachix serve makes it')
    return
  }
  try {
    await Repository.open(path, { readOnly: true })
  } catch (error) {
    const [code, mend] = OPENING[errorCode(error)] ?? [
      'STORE_DAMAGED',
      'mend the file that the message names, or clone the repository anew from another node',
    ]
    yield broken(code, errorMessage(error), mend)
    return
  }
  yield* packs(join(gitDir!, 'objects/pack'))
  const packedRefs = join(gitDir!, 'packed-refs')
  try {
    await PackedRefs.load(packedRefs)
  } catch (error) {
    yield broken(
      'REFS_DAMAGED',
      errorMessage(error),
      `move ${packedRefs} away and fetch the packages again from another node, or add them again`,
    )
  }
}

async function* packs(folder: string): AsyncGenerator<Finding> {
  const names = new Set(await readdir(folder).catch(() => []))
  for (const name of names) {
    if (!name.endsWith('.pack')) continue
    const path = join(folder, name)
    if (!names.has(name.replace(/\.pack$/, '.idx'))) {
      yield doubtful(
        'PACK_WITHOUT_INDEX',
        `${path} has no index: what is in it cannot be found`,
        `git index-pack ${path} makes the index; delete the pack if that fails`,
      )
      continue
    }
    try {
      const pack = await Pack.open(path)
      pack.close()
    } catch (error) {
      yield broken(
        'PACK_DAMAGED',
        errorMessage(error),
        'stop the node, move the pack and its index away, and add or fetch the packages that git fsck then misses',
      )
    }
  }
}

async function isNothing(path: string): Promise<boolean> {
  const names = await readdir(path).catch((error: unknown) =>
    errorCode(error) === 'ENOENT' ? [] : undefined,
  )
  return names?.length === 0
}
