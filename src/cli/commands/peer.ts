import { Command } from 'commander'
import type { PeerStatus } from '../../peers/mesh/status.ts'
import { type CliContext, type JsonOption, loadSettings } from '../context.ts'
import { count, formatBytes, formatDuration, table } from '../format.ts'
import { withRunningNode } from '../operations.ts'

const HELP = `
Peers are the other nodes of the mesh. One that is added is remembered, dialled until it answers, and tells of those
that it knows. A peer is named by its name, its id or its address.

To join two machines: run "gachix peer invite" on the one, and what it prints on the other.
`

const ADD_HELP = `
ADDRESS is HOST:PORT or a multiaddr such as /ip4/192.0.2.1/tcp/4042/p2p/12D3KooW…; with the id in it nobody else can
answer in the peer's place.

Packages are taken from peers only when a trusted key has signed them: --trust adds the key of the team's cache, as
"gachix trust add" does. Exits with 0 when the peer is remembered, also when it cannot be reached yet.
`

/** `gachix peer …`. */
export function peerCommand(context: CliContext): Command {
  return new Command('peer')
    .description('see and change the peers of the running node')
    .addHelpText('after', HELP)
    .addCommand(addCommand(context))
    .addCommand(removeCommand(context))
    .addCommand(listCommand(context))
    .addCommand(pingCommand(context))
    .addCommand(idCommand(context))
    .addCommand(inviteCommand(context))
}

interface AddOptions extends JsonOption {
  readonly name?: string
  readonly network?: string
  readonly trust?: string
}

function addCommand(context: CliContext): Command {
  return new Command('add')
    .description('add a peer, remember it, and connect to it')
    .argument('<address>', 'HOST:PORT or multiaddr')
    .option('-n, --name <name>', 'what to call it')
    .option('--network <network>', 'the network it is in; an error when this node is in another one')
    .option('--trust <key>', 'also trust this public key (name:base64) for packages from elsewhere')
    .option('--json', 'print JSON')
    .addHelpText('after', ADD_HELP)
    .action(async (address: string, options: AddOptions, command: Command) => {
      const { json, ...rest } = options
      const peer = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.addPeer({ address, ...rest }),
      )
      if (json) await context.stdout.json(peer)
      else await context.stdout.line(`added ${labelOf(peer)}: ${stateOf(peer)}`)
    })
}

function removeCommand(context: CliContext): Command {
  return new Command('remove')
    .description('forget a peer and let its connection go')
    .argument('<peer>', 'name, id or address')
    .option('--json', 'print JSON')
    .action(async (reference: string, { json }: JsonOption, command: Command) => {
      const peer = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.removePeer(reference),
      )
      if (json) await context.stdout.json(peer)
      else await context.stdout.line(`removed ${labelOf(peer)}`)
    })
}

function listCommand(context: CliContext): Command {
  return new Command('list')
    .description('print the known peers: state, latency, packages, traffic, and why one is not connected')
    .option('--json', 'print JSON')
    .action(async ({ json }: JsonOption, command: Command) => {
      const peers = await withRunningNode(loadSettings(command, context), (operations) => operations.peers())
      if (json) await context.stdout.json(peers)
      else if (peers.length === 0) context.stderr.write('no peers are known; gachix peer add adds one\n')
      else await context.stdout.line(table([HEADINGS, ...peers.map(rowOf)]))
    })
}

function pingCommand(context: CliContext): Command {
  return new Command('ping')
    .description('measure the round trip to a peer')
    .argument('<peer>', 'name, id or address')
    .option('--json', 'print JSON: {"milliseconds"}')
    .action(async (reference: string, { json }: JsonOption, command: Command) => {
      const milliseconds = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.pingPeer(reference, { signal: context.signal }),
      )
      if (json) await context.stdout.json({ milliseconds })
      else await context.stdout.line(`${reference}: ${milliseconds.toFixed(1)} ms`)
    })
}

function idCommand(context: CliContext): Command {
  return new Command('id')
    .description("print this node's peer id and the addresses at which it can be reached")
    .option('--json', 'print JSON: {"id", "addresses"}')
    .action(async ({ json }: JsonOption, command: Command) => {
      const identity = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.meshIdentity(),
      )
      if (json) await context.stdout.json(identity)
      else await context.stdout.line([identity.id, ...identity.addresses].join('\n'))
    })
}

function inviteCommand(context: CliContext): Command {
  return new Command('invite')
    .description('print the one line that makes another node join, to be run there')
    .option('--json', 'print JSON: {"id", "addresses", "network", "publicKey", "command"}')
    .action(async ({ json }: JsonOption, command: Command) => {
      const invitation = await withRunningNode(loadSettings(command, context), (operations) =>
        operations.invitation(),
      )
      if (json) await context.stdout.json(invitation)
      else await context.stdout.line(invitation.command)
    })
}

const HEADINGS = ['peer', 'state', 'latency', 'packages', 'in', 'out', 'last seen', 'notes']

function rowOf(peer: PeerStatus): string[] {
  const { state, latency, packages, bytesIn, bytesOut, lastSeen } = peer
  return [
    labelOf(peer),
    state,
    latency === undefined ? '-' : `${latency.toFixed(1)} ms`,
    packages === undefined ? '-' : String(packages),
    formatBytes(bytesIn),
    formatBytes(bytesOut),
    state === 'connected' ? 'now' : lastSeen === undefined ? 'never' : `${ago(lastSeen)} ago`,
    notesOf(peer),
  ]
}

function labelOf({ name, id, addresses }: PeerStatus): string {
  return name ?? id ?? addresses[0] ?? '?'
}

function stateOf(peer: PeerStatus): string {
  const notes = notesOf(peer)
  return notes === '' ? peer.state : `${peer.state} (${notes})`
}

function notesOf({ state, failure, retryAt, offence, penalty, bannedUntil }: PeerStatus): string {
  return [
    ...(failure === undefined || state === 'connected' ? [] : [failure]),
    ...(retryAt === undefined ? [] : [`tried again in ${inTime(retryAt)}`]),
    ...(offence === undefined ? [] : [`${count(penalty, 'penalty point')} for: ${offence}`]),
    ...(bannedUntil === undefined ? [] : [`banned for ${inTime(bannedUntil)}`]),
  ].join('; ')
}

function ago(time: number): string {
  return formatDuration(Math.max(0, (Date.now() - time) / 1000))
}

function inTime(time: number): string {
  return formatDuration(Math.max(0, (time - Date.now()) / 1000))
}
