/**
 * Every setting of a node, once: its key, kind, default, unit and meaning. Loading, checking, `config show` and the
 * documentation are made from this table.
 *
 * A key's parts are the names here joined by dots (`store.path`); in the environment they are written in capitals and
 * joined by two underscores (`GACHIX__STORE__PATH`); in the `Config` object they are in camel case
 * (`config.store.signPrivateKeyPath`).
 */
import { LOG_LEVELS } from '../util/log.ts'
import { listenAddresses, network, peerAddresses, peerIds, sharePolicy, syncPolicy } from './mesh.ts'
import { builders, publicKeys, remotes, upstreams } from './sources.ts'
import { boolean, choice, host, integer, type Kind, optionalPath, path, storeDirectory } from './values.ts'

export interface Setting<T> {
  readonly kind: Kind<T>
  readonly default: T
  /** What a number counts. */
  readonly unit?: string
  /** One or two sentences, without a line break. */
  readonly description: string
}

function setting<T>(kind: Kind<T>, facts: Omit<Setting<NoInfer<T>>, 'kind'>): Setting<T> {
  return { kind, ...facts }
}

export const SETTINGS = {
  log_level: setting(choice(LOG_LEVELS), {
    default: 'info',
    description: 'How much the node logs to its standard error, from nothing (silent) to everything (trace).',
  }),
  store: {
    path: setting(path, {
      default: './cache',
      description: 'Directory of the Git repository that holds the packages; made when it does not exist.',
    }),
    store_dir: setting(storeDirectory, {
      default: '/nix/store',
      description: 'Nix store directory that the packages belong to. One repository holds packages of one.',
    }),
    use_local_nix_daemon: setting(boolean, {
      default: true,
      description:
        'Learn packages from the Nix daemon of this machine, at NIX_DAEMON_SOCKET_PATH or its usual place.',
    }),
    builders: setting(builders, {
      default: [],
      description:
        'Machines with Nix to learn packages from, through SSH and their Nix daemon. Without a user in the URL it is nix-ssh.',
    }),
    remotes: setting(remotes, {
      default: [],
      description: 'Git repositories of other gachix nodes, or copies of them, to replicate packages from.',
    }),
    upstreams: setting(upstreams, {
      default: [],
      description: 'Binary caches of Nix to take packages from, such as https://cache.nixos.org.',
    }),
    upstream_timeout: setting(integer(100, 60_000), {
      default: 2000,
      unit: 'milliseconds',
      description:
        'How long a client that asks for a missing package may wait for upstream caches before it gets a 404.',
    }),
    sign_private_key_path: setting(optionalPath, {
      default: undefined,
      description:
        'File with the secret key that signs what is served, as nix-store --generate-binary-cache-key or gachix key generate write it. Without one the node makes a key of its own inside the repository.',
    }),
    ssh_private_key_path: setting(optionalPath, {
      default: undefined,
      description:
        "OpenSSH private key for builders and remotes. Without one SSH's own configuration decides.",
    }),
    compression_level: setting(integer(1, 9), {
      default: 5,
      unit: 'deflate level',
      description: 'Effort put into compressing packages when they are added: 1 is fastest, 9 is smallest.',
    }),
  },
  trust: {
    public_keys: setting(publicKeys, {
      default: [],
      description:
        'Public keys whose signatures are believed on packages from elsewhere, as in trusted-public-keys of Nix. That of cache.nixos.org is cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=.',
    }),
  },
  mesh: {
    enabled: setting(boolean, {
      default: true,
      description: 'Be part of a mesh of nodes that find each other and exchange packages.',
    }),
    listen: setting(listenAddresses, {
      default: ['/ip4/0.0.0.0/tcp/4042'],
      description: 'Multiaddrs on which other nodes can connect. An empty list makes a node that only dials.',
    }),
    announce: setting(listenAddresses, {
      default: [],
      description:
        'Multiaddrs to tell other nodes instead of those of the network interfaces, for instance behind NAT.',
    }),
    network: setting(network, {
      default: 'default',
      description: 'Name of the mesh. Nodes of different networks have nothing to do with each other.',
    }),
    policy: setting(choice(['open', 'allow-list']), {
      default: 'open',
      description:
        'Who may connect: every node of this network (open), or only peers that are named by peers, allow or gachix peer add (allow-list).',
    }),
    peers: setting(peerAddresses, {
      default: [],
      description: 'Peers to connect to, as HOST:PORT or multiaddr. One is enough to find the others.',
    }),
    allow: setting(peerIds, {
      default: [],
      description:
        'Ids of peers that may connect under the policy allow-list, beside those that are dialled.',
    }),
    mdns: setting(boolean, {
      default: false,
      description: 'Find nodes on the local network, and be found there, by multicast DNS.',
    }),
    pre_shared_key_path: setting(optionalPath, {
      default: undefined,
      description:
        'File with a key that all nodes of the mesh share, in the form of a swarm.key of libp2p. Who does not have it gets no answer at all.',
    }),
    sync: setting(syncPolicy, {
      default: 'on-demand',
      description:
        'What to fetch from peers: what a client or gachix sync asks for (on-demand), everything (mirror), or packages by patterns of their names.',
    }),
    share: setting(sharePolicy, {
      default: 'all',
      description:
        'What peers are told of and get: all, off, or packages by patterns of their names. A package is shared only if everything that it refers to is.',
    }),
    upload_limit: setting(integer(0, Number.MAX_SAFE_INTEGER), {
      default: 0,
      unit: 'bytes a second',
      description: 'What goes to all peers together at most; 0 sets no limit.',
    }),
    download_limit: setting(integer(0, Number.MAX_SAFE_INTEGER), {
      default: 0,
      unit: 'bytes a second',
      description: 'What comes from all peers together at most; 0 sets no limit.',
    }),
  },
  server: {
    host: setting(host, {
      default: 'localhost',
      description: 'Address to serve on. localhost means both loopback addresses, 0.0.0.0 or :: every one.',
    }),
    port: setting(integer(0, 65535), {
      default: 8080,
      unit: 'TCP port',
      description: 'Port to serve on; 0 takes a free one.',
    }),
    priority: setting(integer(0, 1_000_000), {
      default: 30,
      unit: 'rank, lower is asked first',
      description: 'Rank among the substituters of a Nix client. cache.nixos.org has 40.',
    }),
    want_mass_query: setting(boolean, {
      default: true,
      description: 'Let Nix clients ask for many paths at once.',
    }),
    git: setting(boolean, {
      default: true,
      description:
        'Serve the repository to Git clients at /git, read-only: all of its objects can be fetched from there.',
    }),
    max_transfers: setting(integer(1, 65535), {
      default: 256,
      unit: 'NAR responses at a time',
      description: 'Further NAR requests are answered with 503 until one of the running ones has ended.',
    }),
    workers: setting(integer(0, 256), {
      default: 0,
      unit: 'threads',
      description:
        'Threads that unpack NARs for clients that ask for them uncompressed, beside the one that answers all requests; 0 means one for each core.',
    }),
  },
} as const

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S

type Values<T> = {
  readonly [K in keyof T & string as CamelCase<K>]: T[K] extends Setting<infer V> ? V : Values<T[K]>
}

/** The effective settings of a node, checked and complete. */
export type Config = Values<typeof SETTINGS>

/** A setting with its place in the table. */
export interface NamedSetting {
  /** Dotted key as in the file, for instance `store.path`. */
  readonly key: string
  readonly setting: Setting<unknown>
}

/** All settings in the order of the table. */
export const SETTING_LIST: readonly NamedSetting[] = flatten(SETTINGS, '')

/** Names of the sections, that is of the keys that hold settings rather than values. */
export const SECTIONS: ReadonlySet<string> = new Set(
  SETTING_LIST.filter(({ key }) => key.includes('.')).map(({ key }) => key.slice(0, key.lastIndexOf('.'))),
)

/** The environment variable of a key: `GACHIX__STORE__PATH` for `store.path`. */
export function environmentName(key: string): string {
  return `${ENVIRONMENT_PREFIX}${key.toUpperCase().replaceAll('.', '__')}`
}

/** Every variable that begins so is ours; one that is no setting's is an error. */
export const ENVIRONMENT_PREFIX = 'GACHIX__'

/** Builds the `Config` object out of one checked value for each key of the table. */
export function assembleConfig(values: ReadonlyMap<string, unknown>): Config {
  const config: Record<string, unknown> = {}
  for (const { key } of SETTING_LIST) {
    const parts = key.split('.').map(camelCase)
    const name = parts.pop()!
    let target = config
    for (const part of parts) {
      target[part] ??= {}
      target = target[part] as Record<string, unknown>
    }
    target[name] = values.get(key)
  }
  return config as Config
}

function camelCase(word: string): string {
  return word.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function isSetting(node: object): node is Setting<unknown> {
  return 'kind' in node && 'default' in node
}

function flatten(table: object, prefix: string): NamedSetting[] {
  return Object.entries(table).flatMap(([name, node]: [string, object]) =>
    isSetting(node) ? [{ key: prefix + name, setting: node }] : flatten(node, `${prefix}${name}.`),
  )
}
