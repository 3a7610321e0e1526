/** What every catalog promises; each implementation's test calls this. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Catalog, LoadedTable } from './catalog.ts'
import { newTableMetadata, type TableMetadata } from './iceberg/metadata.ts'
import { EVENTS } from './tables.ts'

const COMMITTERS = 8
const COMMITS_EACH = 5
const TABLE = { namespace: 'shop', name: 'events' }

/**
 * `open` empties the place and gives a way to open further catalogs on it, as further processes
 * would.
 */
export function catalogContract(name: string, open: () => Promise<() => Catalog>): void {
  describe(`catalog: ${name}`, () => {
    let another: () => Catalog
    let catalog: Catalog
    beforeEach(async () => {
      another = await open()
      catalog = another()
    })

    test('a table that was never committed is not there', async () => {
      expect(await catalog.load(TABLE)).toBeUndefined()
      expect(await catalog.namespaces()).toEqual([])
      expect(await catalog.tables('shop')).toEqual([])
    })

    test('what was committed is loaded, by whoever opens the catalog', async () => {
      const made = committed(await catalog.commit(TABLE, undefined, metadata('one')))
      expect(made.metadata).toEqual(metadata('one'))
      expect(await catalog.load(TABLE)).toEqual(made)
      expect(await another().load(TABLE)).toEqual(made)
    })

    test('a commit over another version than the newest is a conflict and changes nothing', async () => {
      const one = committed(await catalog.commit(TABLE, undefined, metadata('one')))
      expect(await catalog.commit(TABLE, undefined, metadata('again'))).toBe('conflict')
      const two = committed(await another().commit(TABLE, one.metadataLocation, metadata('two')))
      expect(await catalog.commit(TABLE, one.metadataLocation, metadata('late'))).toBe('conflict')
      expect(await catalog.load(TABLE)).toEqual(two)
      expect(await another().load(TABLE)).toEqual(two)
    })

    test('a commit over a table that is not there is a conflict', async () => {
      const location = 's3://lake-test/shop/events/metadata/v7.metadata.json'
      expect(await catalog.commit(TABLE, location, metadata('one'))).toBe('conflict')
      expect(await catalog.load(TABLE)).toBeUndefined()
    })

    test('each version is won by exactly one of many committers', async () => {
      const won: string[] = []
      const commitUntilDone = async (committer: number) => {
        const own = another()
        for (let done = 0; done < COMMITS_EACH; ) {
          const before = await own.load(TABLE)
          const mark = `${before?.metadata.properties.mark ?? ''} ${committer}.${done}`
          const outcome = await own.commit(TABLE, before?.metadataLocation, metadata(mark))
          if (outcome === 'conflict') continue
          won.push(`${committer}.${done}`)
          done++
        }
      }
      await Promise.all(Array.from({ length: COMMITTERS }, (_, each) => commitUntilDone(each)))
      // Each commit appended its mark to the version it replaced: none is lost and none is twice.
      const marks = (await another().load(TABLE))!.metadata.properties.mark!.trim().split(' ')
      expect(marks).toHaveLength(COMMITTERS * COMMITS_EACH)
      expect([...marks].sort()).toEqual([...won].sort())
    })

    test('tables of namespaces are listed in order and apart', async () => {
      for (const namespace of ['zoo', 'acme']) {
        for (const table of ['rejections', 'events']) {
          await catalog.commit({ namespace, name: table }, undefined, metadata(table))
        }
      }
      await catalog.commit({ namespace: 'mid', name: 'events' }, undefined, metadata('x'))
      expect(await catalog.namespaces()).toEqual(['acme', 'mid', 'zoo'])
      expect(await catalog.tables('acme')).toEqual(['events', 'rejections'])
      expect(await catalog.tables('mid')).toEqual(['events'])
      expect(await catalog.tables('none')).toEqual([])
    })

    test('ids above 2^53 come back as they went in', async () => {
      const big = { ...metadata('big'), 'current-snapshot-id': 3035272945390601066n }
      await catalog.commit(TABLE, undefined, big)
      const loaded = await another().load(TABLE)
      expect(loaded!.metadata['current-snapshot-id']).toBe(3035272945390601066n)
    })

    test('a name that could leave its folder is refused', async () => {
      for (const bad of ['..', 'a/b', 'Shop', '', '1a', 'a'.repeat(42)]) {
        const table = { namespace: bad, name: 'events' }
        await expect(catalog.load(table)).rejects.toThrow('no name')
        await expect(catalog.commit(table, undefined, metadata('x'))).rejects.toThrow('no name')
      }
    })
  })
}

function metadata(mark: string): TableMetadata {
  const made = newTableMetadata(EVENTS, 's3://lake-test/shop/events', 'uuid', 1)
  return { ...made, properties: { ...made.properties, mark } }
}

function committed(outcome: LoadedTable | 'conflict'): LoadedTable {
  if (outcome === 'conflict') throw new Error('conflict')
  return outcome
}
