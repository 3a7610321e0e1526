import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { catalogContract } from './catalog.contract.ts'
import { FolderObjectStore } from './folder-object-store.ts'
import { newTableMetadata } from './iceberg/metadata.ts'
import { MemoryObjectStore } from './memory-object-store.ts'
import { ObjectStoreCatalog } from './object-store-catalog.ts'
import { EVENTS } from './tables.ts'

let root: string
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'catalog-'))
})
afterAll(() => rmSync(root, { recursive: true }))

catalogContract('objects in memory', async () => {
  const store = new MemoryObjectStore(nodeFiles, root, 'lake-test')
  return () => new ObjectStoreCatalog(store)
})

catalogContract('objects in a folder', async () => {
  const folder = mkdtempSync(join(root, 'lake-'))
  return () =>
    new ObjectStoreCatalog(new FolderObjectStore(nodeFiles, folder, 'lake-test', systemRandom))
})

describe('version hint', () => {
  const TABLE = { namespace: 'shop', name: 'events' }
  const HINT = 'shop/events/metadata/version-hint.text'
  const metadata = newTableMetadata(EVENTS, 's3://lake-test/shop/events', 'uuid', 1)

  async function tableOfVersions(count: number) {
    const store = new MemoryObjectStore(nodeFiles, root, 'lake-test')
    const catalog = new ObjectStoreCatalog(store)
    let location: string | undefined
    for (let version = 1; version <= count; version++) {
      const made = await catalog.commit(TABLE, location, metadata)
      location = made === 'conflict' ? undefined : made.metadataLocation
    }
    return { store, location }
  }

  test('it names the newest version after a commit', async () => {
    const { store } = await tableOfVersions(3)
    expect(Buffer.from((await store.get(HINT))!).toString()).toBe('3')
  })

  test.each(['1', '2', '9', '', 'not a number', '0', undefined])(
    'with the hint %j the newest version is found',
    async (hint) => {
      const { store, location } = await tableOfVersions(3)
      if (hint === undefined) await store.delete(HINT)
      else await store.put(HINT, Buffer.from(hint))
      const loaded = await new ObjectStoreCatalog(store).load(TABLE)
      expect(loaded?.metadataLocation).toBe(location)
      // A process that died between version and hint leaves others without the table, until now.
      expect(Buffer.from((await store.get(HINT))!).toString()).toBe('3')
    },
  )

  test('a reader that comes back after a hundred commits does not read them all', async () => {
    const { store, location: early } = await tableOfVersions(1)
    const reader = new ObjectStoreCatalog(store)
    await reader.load(TABLE)
    const writer = new ObjectStoreCatalog(store)
    let location = early
    for (let version = 2; version <= 100; version++) {
      const made = await writer.commit(TABLE, location, metadata)
      location = made === 'conflict' ? undefined : made.metadataLocation
    }
    const read: string[] = []
    const get = store.get.bind(store)
    store.get = (key) => {
      read.push(key.replace('shop/events/metadata/', ''))
      return get(key)
    }
    expect((await reader.load(TABLE))?.metadataLocation).toBe(location)
    const versions = read.filter((key) => key.startsWith('v') && key.endsWith('.json'))
    expect(versions).toEqual(['v2', 'v100', 'v101'].map((each) => `${each}.metadata.json`))
  })

  test('the newest version is found by number, not by text, where old ones were removed', async () => {
    const { store, location } = await tableOfVersions(11)
    for (let old = 1; old <= 8; old++) {
      await store.delete(`shop/events/metadata/v${old}.metadata.json`)
    }
    await store.delete(HINT)
    const catalog = new ObjectStoreCatalog(store)
    expect((await catalog.load(TABLE))?.metadataLocation).toBe(location)
    expect(location).toContain('/v11.metadata.json')
    const first = 's3://lake-test/shop/events/metadata/v1.metadata.json'
    expect(await catalog.commit(TABLE, first, metadata)).toBe('conflict')
    expect(await new ObjectStoreCatalog(store).commit(TABLE, undefined, metadata)).toBe('conflict')
  })

  test('a commit whose hint cannot be written is committed', async () => {
    const store = new MemoryObjectStore(nodeFiles, root, 'lake-test')
    const put = store.put.bind(store)
    store.put = async (key, bytes, options) => {
      if (key === HINT) throw new Error('disk full')
      return put(key, bytes, options)
    }
    expect(await new ObjectStoreCatalog(store).commit(TABLE, undefined, metadata)).not.toBe(
      'conflict',
    )
    expect(await new ObjectStoreCatalog(store).load(TABLE)).toBeDefined()
  })

  test('a folder without a version is no table', async () => {
    const store = new MemoryObjectStore(nodeFiles, root, 'lake-test')
    await store.put('shop/events/data/event_time_day=2026-11-01/x.parquet', Buffer.from('x'))
    await store.put('shop/events/metadata/x-m0.avro', Buffer.from('x'))
    const catalog = new ObjectStoreCatalog(store)
    expect(await catalog.namespaces()).toEqual([])
    expect(await catalog.load(TABLE)).toBeUndefined()
  })

  test('a table of a later Iceberg format, or that is not JSON, is refused by name', async () => {
    const store = new MemoryObjectStore(nodeFiles, root, 'lake-test')
    const key = 'shop/events/metadata/v1.metadata.json'
    await store.put(key, Buffer.from('{"format-version":3}'))
    await expect(new ObjectStoreCatalog(store).load(TABLE)).rejects.toMatchObject({
      code: 'data_newer',
      message: `s3://lake-test/${key} has Iceberg format version 3`,
    })
    await store.put(key, Buffer.from('{"format-ver'))
    await expect(new ObjectStoreCatalog(store).load(TABLE)).rejects.toMatchObject({
      code: 'data_damaged',
    })
  })
})
