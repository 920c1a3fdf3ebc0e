/** The thread that takes in packs: it inflates, hashes and writes, so that the node's own thread need not. */
import '../../../util/slabs.ts'
import { parentPort } from 'node:worker_threads'
import { DeflatePool } from '../../../git/deflate/pool.ts'
import { ObjectDatabase } from '../../../git/object-database.ts'
import type { FinishedPack } from '../../../git/pack/finish.ts'
import { receivePack } from '../../../git/pack/receive.ts'
import type { DeltaTools } from '../../../git/pack/receive-deltas.ts'
import { PackWriter } from '../../../git/pack/writer.ts'
import { errorMessage, GachixError } from '../../../util/errors.ts'
import { ExpectedNars } from './expected-nars.ts'
import { InboundChunks, SourceBrokenError } from './inbound-chunks.ts'
import type { Failure, FromReceiver, ReceiveTask, ToReceiver } from './messages.ts'

const port = parentPort
if (port === null) throw new Error('this module runs as a worker thread')

interface Receiving {
  readonly chunks: InboundChunks
  readonly controller: AbortController
}

const underWay = new Map<number, Receiving>()
const nars = new ExpectedNars((id, nar) => say({ kind: 'hashed', id, nar }))

function say(message: FromReceiver, transfer: ArrayBuffer[] = []): void {
  port!.postMessage(message, transfer)
}

port.on('message', (message: ToReceiver) => {
  const { id } = message
  const receiving = underWay.get(id)
  switch (message.kind) {
    case 'begin':
      void begin(id, message.task)
      break
    case 'chunk':
      if (receiving === undefined) say({ kind: 'taken', id, buffer: message.buffer }, [message.buffer])
      else receiving.chunks.push(message.buffer, message.length)
      break
    case 'end':
      receiving?.chunks.end(undefined)
      break
    case 'broken':
      receiving?.chunks.end(new SourceBrokenError())
      break
    case 'abort':
      receiving?.controller.abort()
      break
    case 'expect':
      nars.expect(id, message.recipe)
      break
    case 'forget':
      nars.forget(id)
      break
  }
})

async function begin(id: number, task: ReceiveTask): Promise<void> {
  const chunks = new InboundChunks((buffer) => say({ kind: 'taken', id, buffer }, [buffer]))
  const controller = new AbortController()
  underWay.set(id, { chunks, controller })
  await using deltas = new DeltaWorkshop(task, (pack) => say({ kind: 'pack', id, pack }))
  try {
    const { limits, tmpDir, packDir, spliceDir, order } = task
    const received = await receivePack(chunks, {
      ...{ limits, tmpDir, packDir, spliceDir },
      deltaTools: () => deltas.open(),
      onPack: async (pack) => say({ kind: 'pack', id, pack }),
      blobs: nars.observer(order),
      signal: controller.signal,
    })
    say({ kind: 'received', id, received })
  } catch (error) {
    say({ kind: 'failed', id, failure: failureOf(error) })
  } finally {
    underWay.delete(id)
    chunks.drop()
  }
}

function failureOf(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  return {
    ofSource: error instanceof SourceBrokenError,
    code,
    message: errorMessage(error),
    known: error instanceof GachixError,
  }
}

/** What deltas need, opened when there are some: an index of the store takes memory, and peers send no deltas. */
class DeltaWorkshop implements AsyncDisposable {
  readonly #task: ReceiveTask
  readonly #onPack: (pack: FinishedPack) => void
  #opened: { database: ObjectDatabase; pool: DeflatePool } | undefined

  constructor(task: ReceiveTask, onPack: (pack: FinishedPack) => void) {
    this.#task = task
    this.#onPack = onPack
  }

  async open(): Promise<DeltaTools> {
    const { objectsDir, tmpDir, packDir, spliceDir, level } = this.#task
    const database = await ObjectDatabase.open(objectsDir, { tempDir: tmpDir })
    const pool = new DeflatePool({ level })
    this.#opened = { database, pool }
    return {
      database,
      openPack: () => PackWriter.create({ tmpDir, pool, level, has: (oid) => database.has(oid) }),
      completePack: async (writer) => {
        const pack = await writer.finish(packDir, spliceDir)
        if (pack === undefined) return
        await database.addPack(pack.path)
        this.#onPack(pack)
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#opened?.database.close()
    await this.#opened?.pool.close()
  }
}
