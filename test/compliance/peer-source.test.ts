/** A peer, over libp2p on a real connection, held to the suite of repositories elsewhere. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { INVENTORY_ANSWER, INVENTORY_REQUEST } from '../../protocol/index.ts'
import { ObjectDatabase } from '../../src/git/object-database.ts'
import { nix32Decode } from '../../src/nix/base32.ts'
import { answerInventory } from '../../src/peers/inventory/answer.ts'
import { InventoryLog } from '../../src/peers/inventory/inventory-log.ts'
import { serveInventory } from '../../src/peers/serve/inventory.ts'
import { PackageService } from '../../src/peers/serve/packages.ts'
import { serveRepository } from '../../src/peers/serve/repository.ts'
import { PeerSource } from '../../src/peers/source/peer-source.ts'
import { GitPackageStore } from '../../src/store/package-store.ts'
import { Throttle } from '../../src/util/throttle.ts'
import { packagesIn, publishClosure } from '../support/published-closure.ts'
import { startSwarm } from '../support/swarm-node.ts'
import { repositorySourceSuite } from './repository-source-suite.ts'

function suite(name: string, all: boolean): void {
  repositorySourceSuite(name, async () => {
    const path = await mkdtemp(join(tmpdir(), 'gachix-peer-'))
    await publishClosure(path)
    const store = await GitPackageStore.open({ path })
    const database = await ObjectDatabase.open(join(store.gitDir, 'objects'), { tempDir: tmpdir() })
    const hashes = [...store.entries()].map(({ hash }) => nix32Decode(hash)).sort(Buffer.compare)
    const log = new InventoryLog(InventoryLog.begin(1, Buffer.concat(hashes)))
    const server = await startSwarm({
      serve: (swarm, context, network) => {
        const repository = serveRepository(store, database)
        const shared = { all, shares: (hash: string) => store.has(hash) }
        new PackageService({ repository, shared, context, upload: new Throttle(Infinity) }).register(
          swarm,
          network,
        )
        serveInventory(swarm, network, context, {
          inventory: (_, question) =>
            INVENTORY_ANSWER.encode(answerInventory(log, INVENTORY_REQUEST.decode(question))),
        })
      },
    })
    const client = await startSwarm()
    await client.connect(server)
    return {
      source: new PeerSource({
        name: 'the peer',
        peer: server.id,
        network: client.network,
        context: client.context,
        download: new Throttle(Infinity),
        isConnected: () => client.swarm.members.has(server.id),
      }),
      packages: await packagesIn(store.gitDir),
      gitDir: store.gitDir,
      selective: true,
      async close() {
        await client.close()
        await server.close()
        await database.close()
        await store.close()
        await rm(path, { recursive: true, force: true })
      },
    }
  })
}

suite('a peer', true)
suite('a peer that does not share everything', false)
