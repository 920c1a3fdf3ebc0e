/**
 * Module and flake by the real Nix, with a small stand-in for nixpkgs: that they parse and evaluate, and that the service they
 * make is the one of `deploy/systemd/`, with settings that the node takes.
 */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseConfig } from '../../src/config/parse.ts'
import { fencedBlocks, plainCell, tableRows } from '../support/documents.ts'
import { attempt, type RunResult, run } from '../support/process.ts'

const NIX = join(import.meta.dirname, '../../deploy/nix')
const STAND_IN = join(import.meta.dirname, 'nix/stand-in.nix')
const SERVICE = join(import.meta.dirname, '../../deploy/systemd/gachix.service')
const PUBLIC_KEY = 'cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY='

function evaluation(expression: string): Promise<RunResult> {
  const text = `let standIn = import ${STAND_IN}; in ${expression}`
  return attempt('nix-instantiate', ['--eval', '--strict', '--json', '--expr', text])
}

async function evaluate(expression: string): Promise<unknown> {
  const result = await evaluation(expression)
  assert.equal(result.code, 0, result.stderr)
  return JSON.parse(result.stdout.toString())
}

interface Made {
  readonly options: readonly string[]
  readonly config: Readonly<{
    assertions: readonly { assertion: boolean }[]
    systemd: {
      services: { gachix: { path: string[]; serviceConfig: Record<string, unknown> } }
      tmpfiles: { rules: string[] }
    }
    users: Record<string, Record<string, unknown>>
    networking: { firewall: { allowedTCPPorts: number[] } }
    nix?: { settings?: Record<string, string[]> }
  }>
}

async function moduleOf(set: string): Promise<Made> {
  return (await evaluate(`standIn.module { enable = true; ${set} }`)) as Made
}

/** The settings that the unit gives the node, checked by the node's own rules. */
function settingsOf({ config }: Made) {
  const { ExecStart } = config.systemd.services.gachix.serviceConfig
  const [, json] =
    /^\/gachix\/bin\/gachix --config \/gachix\.yaml(\{.*\}) serve$/.exec(ExecStart as string) ?? []
  assert.ok(json !== undefined, String(ExecStart))
  return parseConfig(json, 'gachix.yaml').config
}

test('every file parses', async () => {
  const files = (await readdir(NIX)).filter((name) => name.endsWith('.nix'))
  assert.ok(files.length >= 4)
  for (const name of files) await run('nix-instantiate', ['--parse', join(NIX, name)])
})

describe('services.gachix', () => {
  test('makes the service of deploy/systemd', async () => {
    const { config } = await moduleOf('')
    const made = config.systemd.services.gachix.serviceConfig
    const words = (value: unknown): string =>
      (Array.isArray(value) ? value : [value])
        .map((item) => (item === true ? 'yes' : String(item)))
        .filter((item) => item !== '')
        .join(' ')
    const unit = new Map<string, string>()
    const [, section] = (await readFile(SERVICE, 'utf8')).split(/^\[Service\]$|^\[Install\]$/m)
    for (const [, name, value] of section!.matchAll(/^(\w+)=(.*)$/gm)) {
      unit.set(name!, words([unit.get(name!) ?? '', value]))
    }
    // NixOS has its own place for the environment, and for the settings file.
    for (const name of ['ExecStart', 'Environment']) unit.delete(name)
    const { ExecStart, LoadCredential, ...rest } = made
    assert.deepEqual(LoadCredential, [])
    const asText = Object.entries(rest).map(([name, value]): [string, string] => [name, words(value)])
    assert.deepEqual(Object.fromEntries(asText.sort()), Object.fromEntries([...unit].sort()))
    assert.deepEqual(config.systemd.services.gachix.path, ['/systemd'], 'for systemd-notify')
    assert.match(String(ExecStart), /serve$/)
  })

  test('its settings are those of its options, and settings win over them', async () => {
    const plain = settingsOf(await moduleOf(''))
    assert.deepEqual(
      [plain.store.path, plain.server.host, plain.server.port],
      ['/var/lib/gachix/cache', 'localhost', 8080],
    )
    const made = await moduleOf(`
      port = 9000; meshPort = 9001; openFirewall = true; stateDir = "/srv/gachix"; user = "cache"; group = "cache";
      settings = { store.compression_level = 9; server.priority = 20; };
    `)
    const { store, server, mesh } = settingsOf(made)
    assert.deepEqual([store.path, store.compressionLevel], ['/srv/gachix/cache', 9])
    assert.deepEqual([server.host, server.port, server.priority], ['0.0.0.0', 9000, 20])
    assert.deepEqual(mesh.listen, ['/ip4/0.0.0.0/tcp/9001'])
    const { config } = made
    assert.deepEqual(config.networking.firewall.allowedTCPPorts, [9000, 9001])
    const { serviceConfig } = config.systemd.services.gachix
    assert.deepEqual(serviceConfig.ReadWritePaths, ['/srv/gachix'])
    assert.equal(serviceConfig.StateDirectory, undefined)
    assert.deepEqual(config.systemd.tmpfiles.rules, ['d /srv/gachix 0750 cache cache -'])
    assert.deepEqual(config.users, {}, 'users of other names are not made')
  })

  test('secrets are handed over by systemd, and never in the settings file', async () => {
    const made = await moduleOf(
      'signingKeyFile = "/run/a"; sshKeyFile = "/run/b"; preSharedKeyFile = "/run/c";',
    )
    const { serviceConfig } = made.config.systemd.services.gachix
    assert.deepEqual(serviceConfig.LoadCredential, [
      'signing-key:/run/a',
      'ssh-key:/run/b',
      'pre-shared-key:/run/c',
    ])
    const { store, mesh } = settingsOf(made)
    const folder = '/run/credentials/gachix.service'
    assert.deepEqual(
      [store.signPrivateKeyPath, store.sshPrivateKeyPath, mesh.preSharedKeyPath],
      [`${folder}/signing-key`, `${folder}/ssh-key`, `${folder}/pre-shared-key`],
    )
  })

  test('useAsSubstituter makes Nix here ask the node, and takes its key', async () => {
    const { config } = await moduleOf(`port = 9000; useAsSubstituter = true; publicKey = "${PUBLIC_KEY}";`)
    assert.deepEqual(config.nix?.settings, {
      substituters: ['http://localhost:9000'],
      'trusted-public-keys': [PUBLIC_KEY],
    })
    assert.ok(config.assertions.every(({ assertion }) => assertion))
    const keyless = await moduleOf('useAsSubstituter = true;')
    assert.ok(!keyless.config.assertions.every(({ assertion }) => assertion))
    assert.equal((await moduleOf('')).config.nix?.settings, undefined)
  })

  test('has the options that it says, of types', async () => {
    const { options } = await moduleOf('')
    const expected = 'enable package settings user group stateDir port openFirewall meshPort useAsSubstituter'
    for (const name of expected.split(' ')) assert.ok(options.includes(name), name)
    for (const wrong of [
      'port = "8080";',
      'port = 70000;',
      'user = 5;',
      'stateDir = "relative";',
      'prot = 8080;',
    ]) {
      const result = await evaluation(`standIn.module { enable = true; ${wrong} }`)
      assert.notEqual(result.code, 0, wrong)
      assert.match(result.stderr, /services\.gachix/)
    }
  })
})

test('the example of deploy/README.md is a flake, and its options are those of the module', async () => {
  const readme = await readFile(join(NIX, '../README.md'), 'utf8')
  const [example] = fencedBlocks(readme, 'nix')
  const modules = `let flake = ${example}; in (flake.outputs {
    nixpkgs.lib.nixosSystem = machine: machine.modules;
    gachix = standIn.flake;
  }).nixosConfigurations.cache`
  const services = `(builtins.elemAt (${modules}) 1).services.gachix`
  const { config } = (await evaluate(`standIn.module (${services})`)) as Made
  assert.deepEqual(config.networking.firewall.allowedTCPPorts, [8080, 4042])
  const { options } = await moduleOf('')
  const documented = tableRows(readme, ['Option of `services.gachix`', 'Meaning'])
    .flatMap(([cell]) => cell!.split(', '))
    .map(plainCell)
  assert.deepEqual(documented.sort(), [...options].sort())
})

test('the flake gives a package, an app, a shell, an overlay, the module and a check for each system', async () => {
  const made = (await evaluate(`let f = standIn.flake; in {
    outputs = builtins.attrNames f;
    package = { inherit (f.packages.x86_64-linux.default) version installPhase; };
    program = f.apps.aarch64-linux.default.program;
    shell = f.devShells.x86_64-linux.default.packages;
    overlay = (f.overlays.default standIn.pkgs { }).gachix.pname;
    module = builtins.length f.nixosModules.default.imports;
    machines = builtins.attrNames f.checks.x86_64-linux.mesh.nodes;
    script = f.checks.x86_64-linux.mesh.testScript;
  }`)) as Record<string, unknown> & { package: Record<string, string> }
  const { package: built, script, ...rest } = made
  assert.deepEqual(rest, {
    outputs: ['apps', 'checks', 'devShells', 'nixosModules', 'overlays', 'packages'],
    program: '/gachix/bin/gachix',
    shell: ['/nodejs', '/git', '/openssh', '/nix'],
    overlay: 'gachix',
    module: 1,
    machines: ['client', 'one', 'two'],
  })
  const manifest = JSON.parse(await readFile(join(NIX, '../../package.json'), 'utf8')) as { version: string }
  assert.equal(built.version, manifest.version)
  await run('sh', ['-n'], { input: built.installPhase! })
  await run('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], { input: script as string })
})
