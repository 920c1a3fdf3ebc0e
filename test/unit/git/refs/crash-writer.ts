/**
 * Changes refs until it is killed, and tells which changes were confirmed: one line a batch, the batch's number. Used by
 * `ref-store-crash.test.ts`; run with the repository and the number of the first batch.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RefStore } from '../../../../src/git/refs/ref-store.ts'
import { batchOf, LOOSE_VALUE, looseName } from './crash-batches.ts'

const [gitDir = '', first = '0'] = process.argv.slice(2)
const store = await RefStore.open(gitDir, { packDelay: 3 })
for (let number = Number(first); ; number += 2) {
  // A loose ref such as Git makes, which the next batch changes or deletes.
  mkdirSync(join(gitDir, looseName(number), '..'), { recursive: true })
  writeFileSync(join(gitDir, looseName(number)), `${LOOSE_VALUE}\n`)
  await store.refresh()
  const confirm = async (batch: number): Promise<void> => {
    await store.update(batchOf(batch))
    process.stdout.write(`${batch}\n`)
  }
  await Promise.all([confirm(number), confirm(number + 1)])
}
