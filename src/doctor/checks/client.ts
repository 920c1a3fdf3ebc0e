import { hostname } from 'node:os'
import { keyName } from '../../nix/nix-conf.ts'
import { configuredCaches } from '../../nix-conf-file.ts'
import { findSigningKey } from '../../signing-key.ts'
import { errorMessage } from '../../util/errors.ts'
import { broken, type Check, type CheckContext, doubtful, type Finding } from '../finding.ts'

/** Whether Nix on this machine asks this node and trusts its key. */
export const clientCheck: Check = { name: 'client', run }

async function* run({ config, env, gitDir }: CheckContext): AsyncGenerator<Finding> {
  let caches: ReturnType<typeof configuredCaches>
  try {
    caches = configuredCaches(env)
  } catch (error) {
    yield doubtful('CLIENT_UNREADABLE', errorMessage(error), 'make the file readable for this user')
    return
  }
  const { host, port } = config.server
  if (!caches.substituters.some((url) => isThisNode(url, host, port))) {
    yield doubtful(
      'CLIENT_NOT_CONFIGURED',
      'Nix on this machine does not ask this node: no nix.conf names it as a substituter',
      'gachix use --write',
    )
    return
  }
  const key = ownKey(config, gitDir)
  if (key === undefined || caches.publicKeys.includes(key)) return
  const other = caches.publicKeys.find((trusted) => keyName(trusted) === keyName(key))
  yield other === undefined
    ? broken(
        'CLIENT_WITHOUT_KEY',
        `Nix on this machine asks this node but does not trust its key ${keyName(key)}, and so takes nothing from it`,
        'gachix use --write',
      )
    : broken(
        'CLIENT_WITH_OLD_KEY',
        `Nix on this machine trusts another key of the name ${keyName(key)} than the one that this node signs with`,
        'gachix use --write replaces it',
      )
}

function isThisNode(text: string, host: string, port: number): boolean {
  const url = URL.parse(text)
  if (url === null) return false
  const names = ['localhost', '127.0.0.1', '[::1]', hostname(), host, `[${host}]`]
  return names.includes(url.hostname) && Number(url.port || (url.protocol === 'https:' ? 443 : 80)) === port
}

/** A key that cannot be read is another check's finding. */
function ownKey(config: CheckContext['config'], gitDir: string | undefined): string | undefined {
  try {
    return findSigningKey(config, gitDir)?.key.publicKey.toString()
  } catch {
    return undefined
  }
}
