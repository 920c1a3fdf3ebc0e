/** What can be wrong with an installation: each fault by the code under which it is found, and how to bring it about. */
import { once } from 'node:events'
import {
  appendFile,
  chmod,
  chown,
  mkdir,
  readdir,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Finding } from '../../src/doctor/finding.ts'
import { run } from '../support/process.ts'
import type { Sandbox } from '../unit/cli/gachix.ts'

/** A healthy installation that a test may harm. */
export interface Installation {
  readonly sandbox: Sandbox
  readonly env: Record<string, string>
  readonly store: string
  /** Of HTTP. */
  readonly port: number
  readonly key: string
  readonly nixConf: string
  /** To be done at the end. */
  readonly cleanups: (() => unknown)[]
}

/** A fault, how to plant it, and what its mend must name. May give further settings. */
export type Fault = [
  code: string,
  severity: Finding['severity'],
  mend: RegExp,
  plant: (at: Installation) => Promise<unknown>,
]

async function packFile({ store }: Installation, end: string): Promise<string> {
  const folder = join(store, 'objects/pack')
  return join(folder, (await readdir(folder)).find((name) => name.endsWith(end))!)
}

const OTHER_KEY = `doctor.test-1:${Buffer.alloc(32, 7).toString('base64')}`
/** A key that is one; whose does not matter. */
const TRUSTED = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='
const LOCK = { pid: 1, since: new Date(0).toISOString(), id: 'test' }

const remote = (url: string, keys = TRUSTED) => ({
  GACHIX__STORE__REMOTES: url,
  GACHIX__TRUST__PUBLIC_KEYS: keys,
})

export const FAULTS: readonly Fault[] = [
  ['SETTINGS_WRONG', 'error', /config check/, async () => ({ GACHIX__SERVER__PORT: 'many' })],
  [
    'STORE_MISSING',
    'warning',
    /gachix serve/,
    async ({ store }) => ({ GACHIX__STORE__PATH: `${store}-not` }),
  ],
  [
    'STORE_NOT_A_REPOSITORY',
    'error',
    /store\.path/,
    async ({ sandbox }) => ({ GACHIX__STORE__PATH: sandbox.file('etc') }),
  ],
  [
    'STORE_UNSUPPORTED',
    'error',
    /another repository/,
    async ({ sandbox }) => {
      await run('git', ['init', '--quiet', '--bare', '--object-format=sha256', sandbox.file('sha256')])
      return { GACHIX__STORE__PATH: sandbox.file('sha256') }
    },
  ],
  [
    'STORE_DAMAGED',
    'error',
    /the file that the message names/,
    ({ store }) => writeFile(join(store, 'config'), '[core\nnonsense'),
  ],
  [
    'PACK_DAMAGED',
    'error',
    /move the pack/,
    async (at) => {
      const pack = await packFile(at, '.pack')
      await chmod(pack, 0o644)
      await truncate(pack, (await stat(pack)).size - 1)
    },
  ],
  ['PACK_WITHOUT_INDEX', 'warning', /git index-pack \S+\.pack/, async (at) => rm(await packFile(at, '.idx'))],
  [
    'REFS_DAMAGED',
    'error',
    /packed-refs/,
    ({ store }) => writeFile(join(store, 'packed-refs'), 'not a ref\n'),
  ],
  ['STORE_WORLD_WRITABLE', 'error', /chmod -R o-w/, ({ store }) => chmod(store, 0o777)],
  [
    'STORE_MIXED_OWNERS',
    'error',
    /chown -R 0/,
    async (at) => chown(await packFile(at, '.pack'), 12345, 12345),
  ],
  [
    'LOCK_UNREADABLE',
    'error',
    /rm \S+\/gachix\/lock/,
    ({ store }) => writeFile(join(store, 'gachix/lock'), 'garbage'),
  ],
  [
    'LOCK_OF_ANOTHER_HOST',
    'error',
    /rm \S+\/gachix\/lock/,
    ({ store }) => writeFile(join(store, 'gachix/lock'), JSON.stringify({ ...LOCK, host: 'elsewhere' })),
  ],
  [
    'LOCK_LEFT_BEHIND',
    'warning',
    /takes the lock over/,
    ({ store }) =>
      writeFile(
        join(store, 'gachix/lock'),
        JSON.stringify({ ...LOCK, host: hostname(), startTime: '1', pid: 4_000_000 }),
      ),
  ],
  ['KEY_MISSING', 'error', /gachix key generate --out \S+\/key/, ({ key }) => rm(key)],
  ['KEY_UNUSABLE', 'error', /gachix key generate/, ({ key }) => writeFile(key, 'no key')],
  ['KEY_READABLE', 'error', /chmod 600 \S+\/key/, ({ key }) => chmod(key, 0o644)],
  [
    'SSH_KEY_MISSING',
    'error',
    /ssh-keygen/,
    async ({ sandbox }) => ({ GACHIX__STORE__SSH_PRIVATE_KEY_PATH: sandbox.file('ssh') }),
  ],
  [
    'SSH_KEY_READABLE',
    'error',
    /chmod 600 \S+\/ssh/,
    async ({ sandbox }) => {
      await writeFile(sandbox.file('ssh'), '', { mode: 0o644 })
      return { GACHIX__STORE__SSH_PRIVATE_KEY_PATH: sandbox.file('ssh') }
    },
  ],
  [
    'DISK_FULL',
    'error',
    /make room/,
    async ({ sandbox, store, cleanups }) => {
      const small = sandbox.file('small')
      await mkdir(small)
      await run('mount', ['-t', 'tmpfs', '-o', 'size=64m,nr_inodes=4096', 'none', small])
      cleanups.push(() => run('umount', ['--lazy', small]))
      await run('cp', ['-a', store, small])
      return { GACHIX__STORE__PATH: join(small, 'cache') }
    },
  ],
  [
    'CLOCK_BEHIND',
    'error',
    /set the clock/,
    async (at) => {
      const later = new Date(Date.now() + 24 * 3600 * 1000)
      await utimes(await packFile(at, '.pack'), later, later)
    },
  ],
  [
    'PORT_TAKEN',
    'error',
    /server\.port/,
    async ({ port, cleanups }) => {
      const other = createServer().listen(port, '127.0.0.1')
      await once(other, 'listening')
      cleanups.push(() => other.close())
    },
  ],
  [
    'DAEMON_UNREACHABLE',
    'error',
    /nix-daemon\.socket/,
    async ({ sandbox }) => ({
      GACHIX__STORE__USE_LOCAL_NIX_DAEMON: 'true',
      NIX_DAEMON_SOCKET_PATH: sandbox.file('nobody'),
    }),
  ],
  [
    'NODE_SILENT',
    'error',
    /^restart it: kill \d+/,
    ({ store }) => {
      const lock = { ...LOCK, host: hostname(), pid: process.pid, controlSocket: join(store, 'nobody') }
      return writeFile(join(store, 'gachix/lock'), JSON.stringify(lock))
    },
  ],
  ['PROGRAM_MISSING', 'error', /install git/, async ({ store }) => ({ ...remote(store), PATH: '/nowhere' })],
  ['REMOTE_UNREACHABLE', 'error', /git ls-remote/, async ({ store }) => remote(`${store}-not`)],
  ['SOURCE_NOT_TRUSTED', 'warning', /gachix key show there/, async ({ store }) => remote(store, '')],
  [
    'BUILDER_UNREACHABLE',
    'error',
    /nix-daemon --stdio/,
    async () => ({ GACHIX__STORE__BUILDERS: 'ssh-ng://127.0.0.1:1', GACHIX__TRUST__PUBLIC_KEYS: TRUSTED }),
  ],
  [
    'UPSTREAM_UNREACHABLE',
    'error',
    /nix-cache-info/,
    async () => ({ GACHIX__STORE__UPSTREAMS: 'http://127.0.0.1:1', GACHIX__TRUST__PUBLIC_KEYS: TRUSTED }),
  ],
  [
    'PRE_SHARED_KEY_UNUSABLE',
    'error',
    /another node of this mesh/,
    async ({ sandbox }) => ({ GACHIX__MESH__PRE_SHARED_KEY_PATH: sandbox.file('psk') }),
  ],
  [
    'PRE_SHARED_KEY_READABLE',
    'error',
    /chmod 600 \S+\/psk/,
    async ({ sandbox }) => {
      const key = `/key/swarm/psk/1.0.0/\n/base16/\n${'0'.repeat(64)}\n`
      await writeFile(sandbox.file('psk'), key, { mode: 0o644 })
      return { GACHIX__MESH__PRE_SHARED_KEY_PATH: sandbox.file('psk') }
    },
  ],
  ['MESH_CLOSED', 'warning', /gachix peer id/, async () => ({ GACHIX__MESH__POLICY: 'allow-list' })],
  [
    'MESH_ADDRESS_UNUSABLE',
    'error',
    /mesh\.listen/,
    async ({ cleanups }) => {
      const other = createServer().listen(0, '127.0.0.1')
      await once(other, 'listening')
      cleanups.push(() => other.close())
      return { GACHIX__MESH__LISTEN: `/ip4/127.0.0.1/tcp/${(other.address() as AddressInfo).port}` }
    },
  ],
  ['PEER_UNREACHABLE', 'warning', /mesh\.peers/, async () => ({ GACHIX__MESH__PEERS: '127.0.0.1:1' })],
  [
    'CLIENT_NOT_CONFIGURED',
    'warning',
    /gachix use --write/,
    ({ nixConf }) => writeFile(nixConf, 'max-jobs = 1\n'),
  ],
  [
    'CLIENT_WITHOUT_KEY',
    'error',
    /gachix use --write/,
    ({ nixConf, port }) => writeFile(nixConf, `extra-substituters = http://127.0.0.1:${port}\n`),
  ],
  [
    'CLIENT_WITH_OLD_KEY',
    'error',
    /gachix use --write replaces/,
    ({ nixConf }) => appendFile(nixConf, `trusted-public-keys = ${OTHER_KEY}\n`),
  ],
]
