/**
 * What `sync`, `add --from`, `remote check` and `sync --push` say when it does not work: an exit status, a code, a message that
 * names the thing and the way out; nothing is executed and the repository stays as it was. And that a plain Git
 * server is a backup, from which a wiped node comes back.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fsck, Gachix } from '../support/gachix.ts'
import { NixStore, type PathFacts } from '../support/nix.ts'
import { run, runLines } from '../support/process.ts'
import { generateSshKey, type Sshd, startSshd } from '../support/sshd.ts'
import { checkSubstitution } from '../support/substitution.ts'

const ABSENT = `/nix/store/${'0'.repeat(32)}-absent`

describe('sources that do not work', () => {
  const stack = new AsyncDisposableStack()
  let folder: string
  let store: NixStore
  let sshd: Sshd
  let roots: string[]
  let closure: PathFacts[]
  let origin: Gachix
  let originKey: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gachix-failures-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    store = stack.use(await NixStore.start())
    roots = await store.build(['directory', 'diamond-top', 'self-reference'])
    closure = await store.facts(await store.closure(roots))
    origin = stack.use(await Gachix.create({ daemonSocket: store.socket }))
    await origin.run(['add', ...roots])
    originKey = (await origin.run(['key', 'show'])).trim()
    sshd = stack.use(await startSshd({ acceptEnv: ['GIT_PROTOCOL'] }))
  })
  after(() => stack.disposeAsync())

  interface Settings {
    readonly remote?: string
    readonly key?: string
    readonly trusted?: readonly string[]
    readonly requireSignatures?: boolean
    readonly repository?: string
  }

  const ssh = (path: string) => `ssh://${sshd.user}@${sshd.host}:${sshd.port}${path}`

  function nodeWith(settings: Settings): Promise<Gachix> {
    const { remote, key = sshd.clientKey, trusted = [originKey], repository } = settings
    const lines = ['store:', '  use_local_nix_daemon: false', `  ssh_private_key_path: ${key}`]
    if (remote !== undefined) lines.push(`  remotes: [{ url: ${JSON.stringify(remote)}, name: origin }]`)
    lines.push(`trust: { public_keys: ${JSON.stringify(trusted)} }`, '')
    return Gachix.create({
      settings: lines.join('\n'),
      env: { PATH: `${sshd.bin}:${process.env.PATH}` },
      ...(repository !== undefined && { repository }),
    })
  }

  interface Expected {
    readonly exit?: number
    readonly code: string
    readonly message: RegExp
  }

  /** Runs a command that has to fail as expected, and tells people and scripts the same. */
  async function fails(
    gachix: Gachix,
    args: readonly string[],
    { exit = 1, code, message }: Expected,
  ): Promise<void> {
    const result = await gachix.attempt([...args, '--json'])
    const told = `${args.join(' ')}: ${result.stderr}`
    assert.equal(result.code, exit, told)
    assert.ok(result.stderr.includes(`[${code}]`), told)
    assert.match(result.stderr, message, told)
    assert.doesNotMatch(result.stderr, /\n\s+at /, 'no stack')
    const json = JSON.parse(result.stdout.toString())
    const error = Array.isArray(json) ? json[0].problem : json.error
    assert.equal(error.code, code)
    assert.match(error.message, message)
  }

  const refs = (repository: string) => runLines('git', ['-C', repository, 'for-each-ref']).catch(() => [])

  test('SSH: an unknown host, another host key, a key that is not let in, no such repository', async () => {
    const goodHosts = `[${sshd.host}]:${sshd.port} ${sshd.hostKey}\n`
    const strangerKey = await generateSshKey(join(folder, 'stranger'))
    const [kind, text] = strangerKey.split(' ')
    const cases: [hosts: string, settings: Settings, expected: Expected][] = [
      ['', {}, { code: 'ERR_SSH_HOST_KEY_UNKNOWN', message: /known_hosts/ }],
      [
        `[${sshd.host}]:${sshd.port} ${kind} ${text}\n`,
        {},
        { code: 'ERR_SSH_HOST_KEY', message: /known_hosts/ },
      ],
      [goodHosts, { key: join(folder, 'stranger') }, { code: 'ERR_SSH_AUTH', message: /key/ }],
      [
        goodHosts,
        { remote: ssh(join(folder, 'nowhere')) },
        { code: 'ERR_SSH_COMMAND', message: /nowhere' does not appear to be a git repo/ },
      ],
    ]
    for (const [hosts, settings, expected] of cases) {
      await writeFile(sshd.knownHosts, hosts)
      await using gachix = await nodeWith({ remote: ssh(origin.repository), ...settings })
      await fails(gachix, ['sync', ...roots], expected)
      await fails(gachix, ['remote', 'check'], expected)
      assert.deepEqual(await refs(gachix.repository), [])
    }
    await writeFile(sshd.knownHosts, goodHosts)
  })

  test('hosts and paths that a shell or SSH would take for something else execute nothing', async () => {
    const mark = join(folder, 'executed')
    const evil = `touch ${mark}`
    await using gachix = await nodeWith({})
    for (const url of [
      `ssh://-oProxyCommand=${encodeURIComponent(evil)}/x`,
      '-oProxyCommand=id:x',
      `ssh://$(touch%20${mark})/x`,
    ]) {
      const result = await gachix.attempt(['remote', 'check', '--', url])
      assert.ok(result.code === 1 || result.code === 2, result.stderr)
      assert.match(result.stderr, /ERR_(SSH_HOST|REMOTE_URL|USAGE)/)
      const pushed = await gachix.attempt(['sync', `--push=${url}`])
      assert.notEqual(pushed.code, 0)
    }
    for (const name of [`it's`, `$(${evil})`, `\`${evil}\``, `a;${evil}`, `"quoted"`]) {
      const url = `${sshd.user}@[${sshd.host}:${sshd.port}]:${folder}/${name}`
      const result = await gachix.attempt([
        'remote',
        'check',
        '--',
        ssh(`${folder}/${encodeURIComponent(name)}`),
      ])
      assert.equal(result.code, 1, `${url}: ${result.stderr}`)
      assert.match(result.stderr, /does not appear to be a git repository \[ERR_SSH_COMMAND\]/)
    }
    await fails(gachix, ['remote', 'check', `ssh://host/a\nb`], {
      code: 'ERR_REMOTE_URL',
      message: /control character/,
    })
    assert.ok(!(await readdir(folder)).includes('executed'))
  })

  test('names and packages that nobody knows, and nothing to ask', async () => {
    await using gachix = await nodeWith({ remote: origin.repository })
    const unknown = { code: 'ERR_UNKNOWN_SOURCE', message: /"nobody".*origin/ }
    await fails(gachix, ['sync', '--from', 'nobody'], unknown)
    await fails(gachix, ['add', ...roots, '--from', 'nobody'], unknown)
    await fails(gachix, ['remote', 'check', 'nobody'], unknown)
    await fails(gachix, ['sync', '--push', 'nobody'], unknown)
    const absent = { code: 'ERR_PACKAGE_UNAVAILABLE', message: /0{32}.*none of the sources \(origin\)/ }
    await fails(gachix, ['sync', ABSENT], absent)
    await fails(gachix, ['add', ABSENT], absent)
    await fails(gachix, ['sync', '--push', 'origin', ABSENT], {
      code: 'ERR_CLOSURE_INCOMPLETE',
      message: /0{32}.*add or sync/,
    })
    await fails(gachix, ['sync', 'nonsense'], { exit: 2, code: 'ERR_USAGE', message: /nonsense/ })
    await using empty = await nodeWith({})
    await fails(empty, ['sync'], { code: 'ERR_NO_SOURCE', message: /store\.remotes/ })
    await fails(empty, ['add', ...roots], { code: 'ERR_NO_SOURCE', message: /use_local_nix_daemon/ })
    assert.deepEqual(await refs(gachix.repository), [])
  })

  test('a package that no trusted key has signed is refused by name, and left out of a mirror', async () => {
    await using gachix = await nodeWith({ remote: origin.repository, trusted: [] })
    await fails(gachix, ['sync', ...roots], {
      code: 'ERR_UNTRUSTED',
      message: /of origin is refused.*trust\.public_keys/,
    })
    const summary = JSON.parse(await gachix.run(['sync', '--json']))
    assert.equal(summary.added, closure.filter(({ ca }) => ca !== undefined).length)
    assert.ok(summary.skipped > 0)
    assert.deepEqual(await refs(gachix.repository), [])
  })

  test('a closure that is not complete is not pushed', async () => {
    await using single = await Gachix.create({ daemonSocket: store.socket })
    await single.run(['add', '--single', ...roots])
    const target = join(folder, 'incomplete.git')
    await run('git', ['init', '--quiet', '--bare', target])
    await fails(single, ['sync', '--push', target, ...roots], {
      code: 'ERR_CLOSURE_INCOMPLETE',
      message: /is not here with/,
    })
    assert.deepEqual(await refs(target), [])
  })

  for (const way of ['by its path', 'over SSH'] as const) {
    test(`a bare repository ${way} takes everything, and a wiped node comes back from it`, async () => {
      const target = join(folder, `backup ${way}.git`)
      await run('git', ['init', '--quiet', '--bare', target])
      const url = way === 'over SSH' ? ssh(encodeURI(target)) : target
      await using first = await nodeWith({ remote: url, repository: origin.repository })
      const pushed = JSON.parse(await first.run(['sync', '--push', 'origin', '--json']))
      assert.equal(pushed.added, closure.length)
      assert.equal(JSON.parse(await first.run(['sync', '--push', 'origin', '--json'])).added, 0)
      await fsck(target)
      await using wiped = await nodeWith({ remote: url })
      const restored = JSON.parse(await wiped.run(['sync', '--json']))
      assert.equal(restored.added, closure.length)
      await fsck(wiped.repository)
      const node = await wiped.serve()
      const publicKeys = [(await wiped.run(['key', 'show'])).trim()]
      await checkSubstitution({ cache: { url: node.url, publicKeys }, roots, closure, with: 'nix copy' })
    })
  }
})
