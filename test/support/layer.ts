/**
 * This machine as seen through a layer that takes whatever is written: programs run as on a machine of their own, with what they
 * expect in /etc, /usr or /data, and nothing of it stays.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

const CHECKOUT = join(import.meta.dirname, '../..')

/** Arguments: the layer's folder, a script that prepares it (`$root` is the new root), the command. */
const SCRIPT = `
layer=$1 prepare=$2; shift 2
mount -t tmpfs none "$layer"
root=$layer/root
mkdir "$layer/upper" "$layer/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" none "$root"
for folder in /proc /dev /sys /tmp "${CHECKOUT}"; do
  mkdir -p "$root$folder"; mount --rbind "$folder" "$root$folder"
done
eval "$prepare"
exec chroot "$root" "$@"
`

/** A folder or file of this machine that is seen somewhere else. */
export interface Bind {
  readonly source: string
  readonly target: string
}

export interface LayerOptions {
  /** A new folder, where the layer is made; nobody else sees what is in it. */
  readonly folder: string
  /** A folder whose contents come to stand below the root. */
  readonly files?: string
  readonly binds?: readonly Bind[]
  readonly env: Readonly<Record<string, string>>
  /** Where the command runs. */
  readonly cwd: string
}

/** The command line that runs `command` in a layer. Needs root. */
export async function inLayer(options: LayerOptions, command: readonly string[]): Promise<string[]> {
  const { folder, files, binds = [], env, cwd } = options
  await mkdir(folder, { recursive: true })
  const prepare = [
    ...(files === undefined ? [] : [`cp -r '${files}/.' "$root/"`]),
    ...binds.map(
      ({ source, target }) => `mkdir -p "$root${target}"; mount --bind '${source}' "$root${target}"`,
    ),
  ].join('\n')
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const script = ['sh', '-eu', '-c', SCRIPT, 'sh', folder, prepare]
  const inside = ['env', '-i', '-C', cwd, ...variables, ...command]
  return ['unshare', '--mount', '--propagation', 'private', ...script, ...inside]
}
