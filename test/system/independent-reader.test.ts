/**
 * The lake as a program that shares no code with it reads it: Python with fastavro and pyarrow.
 *
 * What our reader and our writer get wrong in the same way, only another reader shows.
 */
import { execFile, execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../packages/pipeline/src/kit/clock.ts'
import { nodeFiles } from '../../packages/pipeline/src/kit/files.ts'
import {
  type DataFile,
  dataFileOf,
  fieldIds,
  sqlType,
} from '../../packages/pipeline/src/lake/data-file.ts'
import { FolderObjectStore } from '../../packages/pipeline/src/lake/folder-object-store.ts'
import { newUuid } from '../../packages/pipeline/src/lake/iceberg/metadata.ts'
import { openLakeTable } from '../../packages/pipeline/src/lake/lake-table.ts'
import { dataKey } from '../../packages/pipeline/src/lake/layout.ts'
import { ObjectStoreCatalog } from '../../packages/pipeline/src/lake/object-store-catalog.ts'
import {
  type Column,
  TABLES,
  type TableDefinition,
} from '../../packages/pipeline/src/lake/tables.ts'

const SCRIPT = fileURLToPath(new URL('read_lake.py', import.meta.url))
const BUCKET = 'lake-test'
const DAY = Date.UTC(2026, 10, 1) / 86_400_000
const LOG_ID = '0123456789abcdef0123456789abcdef'

interface Report {
  readonly rows: number
  readonly files: number
  readonly snapshots: number
  readonly progress: unknown
  readonly problems: readonly string[]
}

const readerExists = canRead()
if (!readerExists) {
  console.warn('skipped: the independent reader needs python3 with fastavro and pyarrow.')
}

describe.skipIf(!readerExists)('an independent reader', () => {
  let root: string
  let connection: DuckDBConnection
  beforeAll(async () => {
    root = mkdtempSync(join(tmpdir(), 'independent-reader-'))
    connection = await (await DuckDBInstance.create(':memory:')).connect()
  })
  afterAll(() => {
    connection.closeSync()
    rmSync(root, { recursive: true })
  })

  /** A file of `rowCount` rows on one day, put into the store. */
  async function write(
    store: FolderObjectStore,
    definition: TableDefinition,
    day: number,
    rowCount: number,
  ): Promise<DataFile> {
    const path = join(root, `${newUuid(systemRandom)}.parquet`)
    const columns = definition.columns.map(
      (column) => `(${sqlValue(column, day)})::${sqlType(column)} AS ${column.name}`,
    )
    const reader = await connection.runAndReadAll(
      `COPY (SELECT ${columns.join(', ')} FROM range(${rowCount}) r(i)) TO '${path}'
       (FORMAT parquet, COMPRESSION zstd, FIELD_IDS ${fieldIds(definition)}, RETURN_STATS)`,
    )
    const table = { namespace: 'shop', name: definition.name }
    const key = dataKey(table, definition, day, newUuid(systemRandom))
    const file = dataFileOf(definition, key, reader.getRowObjects()[0]!)
    await store.putFile(key, path)
    return file
  }

  async function writeTable(folder: string, definition: TableDefinition): Promise<void> {
    const store = new FolderObjectStore(nodeFiles, folder, BUCKET, systemRandom)
    const table = openLakeTable(
      store,
      new ObjectStoreCatalog(store),
      { namespace: 'shop', name: definition.name },
      definition,
      systemClock,
      systemRandom,
    )
    const at = (nextOffset: number) => ({ logId: LOG_ID, nextOffset, writerEpoch: 3 })
    const [a, b, c] = [
      await write(store, definition, DAY, 100),
      await write(store, definition, -1, 7),
      await write(store, definition, DAY + 1, 30),
    ]
    await table.append([a, b], at(10), undefined)
    await table.append([], at(12), at(10))
    expect(await table.append([c], at(20), at(12))).toMatchObject({ recordCount: 137 })
    expect(await table.append([c], at(20), at(12))).toBe('moved')
  }

  test.each(TABLES)(
    'finds every row of table $name, and every claim about them true',
    async (definition) => {
      const folder = join(root, definition.name)
      await writeTable(folder, definition)
      expect(await read(folder, definition)).toEqual({
        rows: 137,
        files: 3,
        snapshots: 3,
        progress: { logId: LOG_ID, nextOffset: 20, writerEpoch: 3 },
        problems: [],
      })
    },
  )

  test('names what does not hold, so that its silence means something', async () => {
    const definition = TABLES[0]
    const folder = join(root, 'whole')
    await writeTable(folder, definition)
    const broken = join(root, 'broken')
    await cp(folder, broken, { recursive: true })
    const store = new FolderObjectStore(nodeFiles, broken, BUCKET, systemRandom)
    const stranger = await write(store, definition, DAY + 5, 9)
    const files: string[] = []
    for await (const key of store.list(`shop/events/data/event_time_day=2026-11-01/`))
      files.push(key)
    copyFileSync(join(broken, stranger.key), join(broken, files[0]!))
    const report = await read(broken, definition)
    expect(report.problems).toEqual(
      expect.arrayContaining([
        expect.stringContaining('has another size than its entry'),
        expect.stringContaining('has 9 rows, not 100'),
        expect.stringContaining('event_time has values above'),
        expect.stringContaining(`is of day ${DAY} and has rows of days [${DAY + 5}]`),
        expect.stringContaining('the summary counts 137 rows, not 46'),
      ]),
    )
  })
})

/** SQL for row `i`: nulls, both zeros, long and wide strings, both truths. */
function sqlValue(column: Column, day: number): string {
  switch (column.type) {
    case 'timestamptz':
      // The last microsecond of the day included.
      return `make_timestamptz(${day * 86_400_000_000} + CASE i WHEN 0 THEN 86399999999 ELSE i * 1001 END)`
    case 'boolean':
      return 'i % 2 = 0'
    case 'double':
      return `CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN -0.0::DOUBLE WHEN 2 THEN 0.0 ELSE i * ${column.id} / 7 END`
    case 'string': {
      const text = `CASE i % 3 WHEN 0 THEN repeat('😀', 17) WHEN 1 THEN 'a very long string ' || i ELSE '' END`
      return column.required ? text : `CASE WHEN i % 5 = 0 THEN NULL ELSE ${text} END`
    }
    default:
      return column.required ? 'i - 3' : `CASE WHEN i % 5 = 0 THEN NULL ELSE i - 3 END`
  }
}

function read(folder: string, definition: TableDefinition): Promise<Report> {
  return new Promise((resolve, reject) => {
    execFile(
      'python3',
      [SCRIPT, folder, BUCKET, 'shop', definition.name],
      (error, stdout, stderr) => {
        // It ends with 1 when there are problems, and says them.
        if (error && stdout === '') reject(new Error(stderr))
        else resolve(JSON.parse(stdout))
      },
    )
  })
}

function canRead(): boolean {
  try {
    execFileSync('python3', ['-c', 'import fastavro, pyarrow.parquet'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
