/** Against the DuckDB that is installed: what RETURN_STATS says is its own matter. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dataFileOf, dayOfMicroseconds, fieldIds, sqlType } from './data-file.ts'
import type { Column, TableDefinition } from './tables.ts'

const COLUMNS: readonly Column[] = [
  { id: 1, name: 'moment', type: 'timestamptz', required: true, bounds: true, doc: '' },
  { id: 2, name: 'x', type: 'double', bounds: true, doc: '' },
  { id: 3, name: 'yes', type: 'boolean', bounds: true, doc: '' },
  { id: 4, name: 'name', type: 'string', bounds: true, doc: '' },
  { id: 5, name: 'small', type: 'int', bounds: true, doc: '' },
  { id: 6, name: 'large', type: 'long', bounds: true, doc: '' },
  { id: 7, name: 'person', type: 'string', doc: 'no bounds' },
]
const TABLE: TableDefinition = {
  name: 'events',
  partitionColumn: 'moment',
  columns: COLUMNS,
  doc: '',
}
const KEY = 't/events/data/moment_day=2026-11-01/u.parquet'

let folder: string
let connection: DuckDBConnection
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'data-file-'))
  const instance = await DuckDBInstance.create(':memory:')
  connection = await instance.connect()
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true })
})

async function copied(values: string) {
  const typed = COLUMNS.map(({ name, type }) => `${name}::${sqlType({ type })} AS ${name}`)
  const names = COLUMNS.map((column) => column.name)
  return connection.runAndReadAll(
    `COPY (SELECT ${typed.join(', ')} FROM (VALUES ${values}) v(${names.join(', ')}))
     TO '${folder}/x.parquet' (FORMAT parquet, FIELD_IDS ${fieldIds(TABLE)}, RETURN_STATS)`,
  )
}

async function fileOf(values: string) {
  return dataFileOf(TABLE, KEY, (await copied(values)).getRowObjects()[0]!)
}

const at = (text: string) => BigInt(Date.parse(text)) * 1000n

describe('the data file of a COPY', () => {
  test('has counts, sizes, nulls and bounds of every type', async () => {
    const file = await fileOf(`
      ('2026-11-01 10:00:00.000001+00', 1.5, true, 'b', 5, 9007199254740993, 'ann'),
      ('2026-11-01 23:59:59.999999+00', -2e300, false, 'a', NULL, -3, NULL)`)
    expect(file).toMatchObject({ key: KEY, recordCount: 2, partitionDay: 20_758 })
    expect(file.fileBytes).toBeGreaterThan(100)
    expect([...file.valueCounts.values()]).toEqual([2, 2, 2, 2, 2, 2, 2])
    expect([...file.nullCounts.values()]).toEqual([0, 0, 0, 0, 1, 0, 1])
    expect([...file.columnSizes.values()].every((bytes) => bytes > 0)).toBe(true)
    expect(Object.fromEntries(file.lowerBounds)).toEqual({
      1: at('2026-11-01T10:00:00Z') + 1n,
      2: -2e300,
      3: false,
      4: 'a',
      5: 5,
      6: -3n,
    })
    expect(Object.fromEntries(file.upperBounds)).toEqual({
      1: at('2026-11-01T23:59:59Z') + 999999n,
      2: 1.5,
      3: true,
      4: 'b',
      5: 5,
      6: 9007199254740993n,
    })
  })

  test('has no bounds where every value is null, or some value is NaN', async () => {
    const file = await fileOf(`
      ('2026-11-01 10:00:00+00', 'nan'::DOUBLE, NULL, NULL, NULL, NULL, NULL),
      ('2026-11-01 10:00:00+00', 1, NULL, NULL, NULL, NULL, NULL)`)
    expect([...file.lowerBounds.keys()]).toEqual([1])
    expect([...file.upperBounds.keys()]).toEqual([1])
    expect(file.nullCounts.get(4)).toBe(2)
  })

  test('takes a zero of either sign for both, and infinities for what they are', async () => {
    const zero = await fileOf(`('2026-11-01 10:00:00+00', -0.0, NULL, 'a', 1, 1, NULL)`)
    expect(zero.lowerBounds.get(2)).toBe(-0)
    expect(zero.upperBounds.get(2)).toBe(0)
    const infinite = await fileOf(`
      ('2026-11-01 10:00:00+00', 'inf', NULL, 'a', 1, 1, NULL),
      ('2026-11-01 10:00:00+00', '-inf', NULL, 'a', 1, 1, NULL)`)
    expect(infinite.lowerBounds.get(2)).toBe(Number.NEGATIVE_INFINITY)
    expect(infinite.upperBounds.get(2)).toBe(Number.POSITIVE_INFINITY)
  })

  test.each([
    ['w'.repeat(3000), 'w'.repeat(16), `${'w'.repeat(15)}x`],
    ['😀'.repeat(20), '😀'.repeat(16), `${'😀'.repeat(15)}😁`],
    ['', '', ''],
    ["it''s", "it's", "it's"],
  ])('cuts long strings so that they still are bounds', async (text, lower, upper) => {
    const file = await fileOf(`('2026-11-01 10:00:00+00', 1, NULL, '${text}', 1, 1, NULL)`)
    expect(file.lowerBounds.get(4)).toBe(lower)
    expect(file.upperBounds.get(4)).toBe(upper)
  })

  test('counts days before 1970 downwards, in whatever time zone the engine is', async () => {
    for (const zone of ['UTC', 'Asia/Kolkata', 'America/St_Johns']) {
      await connection.run(`SET TimeZone = '${zone}'`)
      const file = await fileOf(`('1969-12-31 23:59:59.5+00', 1, NULL, 'a', 1, 1, NULL)`)
      expect(file.partitionDay).toBe(-1)
      expect(file.lowerBounds.get(1)).toBe(-500_000n)
    }
    expect(dayOfMicroseconds(0n)).toBe(0)
    expect(dayOfMicroseconds(-86_400_000_000n)).toBe(-1)
    expect(dayOfMicroseconds(86_399_999_999n)).toBe(0)
  })

  test('is refused when it spans two days, has no rows, or lacks a required value', async () => {
    const row = (time: string) => `(${time}, 1, NULL, 'a', 1, 1, NULL)`
    const two = `${row(`'2026-11-01 23:59:59+00'`)}, ${row(`'2026-11-02 00:00:00+00'`)}`
    await expect(fileOf(two)).rejects.toThrow('spans days 20758 to 20759')
    await expect(fileOf(`${row('NULL')}, ${row(`'2026-11-02 00:00:00+00'`)}`)).rejects.toThrow(
      '1 nulls in moment',
    )
    await expect(fileOf(row("'infinity'"))).rejects.toThrow('no bounds of moment')
    const empty = { count: 0, file_size_bytes: 9, column_statistics: {} }
    expect(() => dataFileOf(TABLE, KEY, empty)).toThrow('0 rows')
  })

  test('is the same from every form that the driver gives its rows in', async () => {
    const reader = await copied(`('2026-11-01 10:00:00+00', 1.5, true, 'b', 5, 7, 'ann')`)
    const file = dataFileOf(TABLE, KEY, reader.getRowObjects()[0]!)
    expect(dataFileOf(TABLE, KEY, reader.getRowObjectsJS()[0]!)).toEqual(file)
    const json = reader.getRowObjectsJson()[0]!
    expect(dataFileOf(TABLE, KEY, json)).toEqual(file)
    const lists = json.column_statistics as {
      key: string
      value: { key: string; value: string }[]
    }[]
    const plain = Object.fromEntries(
      lists.map(({ key, value }) => [
        key.slice(1, -1),
        Object.fromEntries(value.map((each) => [each.key, each.value])),
      ]),
    )
    expect(dataFileOf(TABLE, KEY, { ...json, column_statistics: plain })).toEqual(file)
  })
})
