import type { AbortOptions } from '../../../util/lifecycle.ts'
import { Turns } from '../../../util/turns.ts'
import type { Ref } from '../../refs/packed-refs.ts'
import { FLUSH_PKT } from '../pkt-line.ts'
import { PacketBatch } from './packets.ts'
import type { LsRefsRequest } from './request-v2.ts'
import type { ServedRepository } from './served-repository.ts'

/** The refs that a version 2 client asks for. */
export async function* lsRefs(
  repository: ServedRepository,
  request: LsRefsRequest,
  { signal }: AbortOptions,
): AsyncGenerator<Buffer> {
  const { prefixes, peel, symrefs, unborn } = request
  const turns = new Turns(signal)
  const batch = new PacketBatch()
  const line = async (ref: Ref, attributes: string): Promise<void> => {
    const peeled = peel ? await repository.peel(ref) : undefined
    batch.line(`${ref.oid} ${ref.name}${attributes}${peeled === undefined ? '' : ` peeled:${peeled}`}\n`)
  }
  if (prefixes.length === 0 || prefixes.some((prefix) => 'HEAD'.startsWith(prefix))) {
    const { target, oid } = await repository.head()
    const attributes = symrefs && target !== undefined ? ` symref-target:${target}` : ''
    if (oid !== undefined) await line({ name: 'HEAD', oid }, attributes)
    else if (unborn && target !== undefined) batch.line(`unborn HEAD${attributes}\n`)
  }
  for (const prefix of disjoint(prefixes)) {
    for (const ref of repository.refs(prefix)) {
      const pause = turns.next()
      if (pause !== undefined) await pause
      await line(ref, '')
      if (batch.isFull) yield batch.take()
    }
  }
  batch.raw(FLUSH_PKT)
  yield batch.take()
}

/** All refs, as clients of version 0 get them before they ask. */
export async function* advertiseRefs(
  repository: ServedRepository,
  capabilities: string,
  { signal }: AbortOptions,
): AsyncGenerator<Buffer> {
  const turns = new Turns(signal)
  const batch = new PacketBatch()
  const { target, oid: head } = await repository.head()
  let told =
    target === undefined || head === undefined ? capabilities : `${capabilities} symref=HEAD:${target}`
  const line = (oid: string, name: string): void => {
    batch.line(`${oid} ${name}${told === '' ? '' : `\0${told}`}\n`)
    told = ''
  }
  if (head !== undefined) line(head, 'HEAD')
  for (const ref of repository.refs('')) {
    const pause = turns.next()
    if (pause !== undefined) await pause
    line(ref.oid, ref.name)
    const peeled = await repository.peel(ref)
    if (peeled !== undefined) line(peeled, `${ref.name}^{}`)
    if (batch.isFull) yield batch.take()
  }
  if (told !== '') line('0'.repeat(40), 'capabilities^{}')
  batch.raw(FLUSH_PKT)
  yield batch.take()
}

/** Prefixes none of which begins with another, in byte order; the empty one when there are none. */
function disjoint(prefixes: readonly string[]): string[] {
  const kept: string[] = []
  for (const prefix of [...prefixes].sort()) {
    const last = kept.at(-1)
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix)
  }
  return kept.length === 0 ? [''] : kept
}
