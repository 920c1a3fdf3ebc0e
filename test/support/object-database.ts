/** Databases over fixture repositories, closed and removed with the test that asks for them. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { ObjectDatabase, type ObjectDatabaseOptions } from '../../src/git/object-database.ts'
import { GitFixture } from './git-fixture.ts'

export async function fixtureFor(t: TestContext): Promise<GitFixture> {
  const fixture = await GitFixture.create()
  t.after(() => fixture.remove())
  return fixture
}

export async function databaseOf(
  t: TestContext,
  fixture: GitFixture,
  options?: ObjectDatabaseOptions,
): Promise<ObjectDatabase> {
  const database = await ObjectDatabase.open(fixture.objectsDir, options)
  t.after(() => database.close())
  return database
}

export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const chunk of chunks) {
    assert.ok(chunk.length <= 256 * 1024)
    parts.push(chunk)
  }
  return Buffer.concat(parts)
}
