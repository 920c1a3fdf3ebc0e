import { access, constants, stat } from 'node:fs/promises'
import { ifPresent } from '../../git/durable-file.ts'
import { findSigningKey } from '../../signing-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, type Finding } from '../finding.ts'

/** Whether the secret keys are there, are keys, and are secret. */
export const keysCheck: Check = { name: 'keys', run }

async function* run({ config, gitDir }: CheckContext): AsyncGenerator<Finding> {
  const { signPrivateKeyPath, sshPrivateKeyPath } = config.store
  yield* signingKey(config, gitDir, signPrivateKeyPath)
  if (sshPrivateKeyPath === undefined) return
  const readable = await access(sshPrivateKeyPath, constants.R_OK).then(
    () => true,
    () => false,
  )
  if (!readable) {
    yield broken(
      'SSH_KEY_MISSING',
      `${sshPrivateKeyPath}, named by store.ssh_private_key_path, is not there or cannot be read`,
      `ssh-keygen -t ed25519 -N '' -f ${sshPrivateKeyPath} makes a key; let the other machines know its public half`,
    )
    return
  }
  yield* isSecret(sshPrivateKeyPath, 'SSH_KEY_READABLE', 'ssh refuses such a key')
}

async function* signingKey(
  config: CheckContext['config'],
  gitDir: string | undefined,
  configured: string | undefined,
): AsyncGenerator<Finding> {
  if (configured !== undefined && (await ifPresent(stat(configured))) === undefined) {
    yield broken(
      'KEY_MISSING',
      `there is no ${configured}, named by store.sign_private_key_path`,
      `gachix key generate --out ${configured}`,
    )
    return
  }
  try {
    const found = findSigningKey(config, gitDir)
    if (found !== undefined) {
      yield* isSecret(found.path, 'KEY_READABLE', 'who reads it can sign packages in the name of this node')
    }
  } catch (error) {
    yield broken(
      'KEY_UNUSABLE',
      errorMessage(error),
      'put the right file in its place, or take it away and make a new key with gachix key generate',
    )
  }
}

async function* isSecret(path: string, code: string, consequence: string): AsyncGenerator<Finding> {
  const stats = await ifPresent(stat(path))
  if (stats === undefined || (stats.mode & 0o077) === 0) return
  yield broken(code, `${path} can be read by others than its owner: ${consequence}`, `chmod 600 ${path}`)
}
