/** The table with real files: what DuckDB wrote is what DuckDB finds under the snapshot's keys. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { type DataFile, dataFileOf, fieldIds, sqlType } from './data-file.ts'
import { FolderObjectStore } from './folder-object-store.ts'
import { openLakeTable } from './lake-table.ts'
import { dataKey } from './layout.ts'
import { ObjectStoreCatalog } from './object-store-catalog.ts'
import { IDENTITIES } from './tables.ts'

const TABLE = { namespace: 'shop', name: 'identities' }
const DAY = Date.UTC(2026, 10, 1) / 86_400_000
const at = (nextOffset: number) => ({ logId: 'l', nextOffset, writerEpoch: 1 })

let folder: string
let store: FolderObjectStore
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lake-table-files-'))
  store = new FolderObjectStore(nodeFiles, `${folder}/lake`, 'lake-test', systemRandom)
})
afterAll(() => rmSync(folder, { recursive: true }))

function open() {
  const catalog = new ObjectStoreCatalog(store)
  return openLakeTable(store, catalog, TABLE, IDENTITIES, systemClock, systemRandom)
}

describe('a table of files that DuckDB wrote', () => {
  let connection: DuckDBConnection
  beforeAll(async () => {
    connection = await (await DuckDBInstance.create(':memory:')).connect()
  })
  afterAll(() => connection.closeSync())

  async function copy(day: number, rows: number, tag: string): Promise<DataFile> {
    const path = join(folder, `${tag}.parquet`)
    const columns = IDENTITIES.columns.map((column) => {
      const value =
        column.type === 'timestamptz' ? `make_timestamptz(${day * 86_400_000_000} + i)` : 'i'
      return `${value}::${sqlType(column)} AS ${column.name}`
    })
    const reader = await connection.runAndReadAll(
      `COPY (SELECT ${columns.join(', ')} FROM range(${rows}) r(i)) TO '${path}'
       (FORMAT parquet, COMPRESSION zstd, FIELD_IDS ${fieldIds(IDENTITIES)}, RETURN_STATS)`,
    )
    const key = dataKey(TABLE, IDENTITIES, day, tag)
    const made = dataFileOf(IDENTITIES, key, reader.getRowObjects()[0]!)
    await store.putFile(key, path)
    return made
  }

  test('the files of the snapshot hold the rows that were appended, and no others', async () => {
    const table = open()
    await table.append([await copy(DAY, 100, 'a'), await copy(DAY + 1, 20, 'b')], at(1), undefined)
    await copy(DAY, 1000, 'orphan')
    await table.append([await copy(DAY, 3, 'c')], at(2), at(1))
    const seen = await open().snapshot()
    const paths = await Promise.all(seen.files.map((each) => store.localPath(each.key)))
    const reader = await connection.runAndReadAll(
      `SELECT count(*)::INTEGER AS n, count(DISTINCT filename)::INTEGER AS files, max(log_offset)::INTEGER AS top
       FROM read_parquet([${paths.map((path) => `'${path}'`).join(', ')}], filename = true)`,
    )
    expect(reader.getRowObjectsJS()).toEqual([{ n: 123, files: 3, top: 99 }])
    expect(seen.recordCount).toBe(123)
    expect(seen.files.map((each) => each.partitionDay)).toEqual([DAY, DAY, DAY + 1])
    expect(seen.files.find((each) => each.recordCount === 20)!.upperBounds.get(9)).toBe(19n)
  })
})
