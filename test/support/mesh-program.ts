/**
 * A node of a mesh as a program of its own, told by lines of JSON on standard input what to do, and answering each with one line. The
 * argument is the settings of `startMeshNode` as JSON. Ends when standard input does.
 */
import { createInterface } from 'node:readline'
import { startMeshNode } from './mesh-node.ts'
import { file, makePackage } from './packages.ts'

/** What can be asked for; packages are made up from their names. */
export type MeshCommand =
  | { readonly kind: 'add'; readonly name: string }
  | { readonly kind: 'who has'; readonly name: string }
  | { readonly kind: 'peers' }
  | { readonly kind: 'fetch'; readonly name: string }

const node = await startMeshNode(JSON.parse(process.argv[2]!))

function say(answer: unknown): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

async function answer(command: MeshCommand): Promise<unknown> {
  switch (command.kind) {
    case 'add':
      await node.add([made(command.name)])
      return true
    case 'who has':
      return node.mesh.whoHas(made(command.name).info.storePath.hash)
    case 'peers':
      return node.mesh.peers()
    case 'fetch':
      return await fetch(command.name)
  }
}

/** Fetches a package's objects from whoever has it. @returns their bytes, or why it failed */
async function fetch(name: string): Promise<number | string> {
  const { hash } = made(name).info.storePath
  try {
    const [source] = node.mesh.candidates(hash)
    if (source === undefined) return 'nobody is connected that has it'
    const session = await source.open()
    const { commit } = (await session.packages([hash])).get(hash)!
    let length = 0
    for await (const chunk of session.fetch({ wants: [commit!], haves: [] })) length += chunk.length
    await session.close()
    return length
  } catch (error) {
    return (error as { code: string }).code
  }
}

function made(name: string): ReturnType<typeof makePackage> {
  return makePackage(name, file(`contents of ${name}\n`))
}

const lines = createInterface({ input: process.stdin })
process.once('SIGTERM', () => lines.close())
say({ id: node.mesh.id, addresses: node.mesh.addresses })
for await (const line of lines) say(await answer(JSON.parse(line)))
await node.close()
process.stdin.destroy()
