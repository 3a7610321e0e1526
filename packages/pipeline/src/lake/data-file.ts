/**
 * A Parquet file as the table's metadata knows it, made from what DuckDB says after writing it.
 *
 * `COPY … (RETURN_STATS)` answers with counts, sizes and each column's least and greatest value as
 * text, so no file is read twice. What the text gets wrong is mended here (seen in DuckDB 1.5.5):
 * of −0 and +0 either may be named; a column with NaN has bounds of its other values; booleans are
 * `0` and `1`; infinite times are words. Where a bound is not certain there is none.
 */
import { type Bound, doubleBound, truncateLower, truncateUpper } from './iceberg/bounds.ts'
import type { Column, TableDefinition } from './tables.ts'

/** Statistics are by field id; a column without statistics is absent. */
export interface DataFile {
  readonly key: string
  readonly recordCount: number
  readonly fileBytes: number
  /** Days since 1970-01-01, UTC. */
  readonly partitionDay: number
  /** Compressed bytes. */
  readonly columnSizes: ReadonlyMap<number, number>
  /** Nulls included. */
  readonly valueCounts: ReadonlyMap<number, number>
  readonly nullCounts: ReadonlyMap<number, number>
  /** Inclusive; string bounds are cut, so they need not occur. Only columns marked `bounds`. */
  readonly lowerBounds: ReadonlyMap<number, Bound>
  readonly upperBounds: ReadonlyMap<number, Bound>
}

/** One column's statistics, as text. */
type ColumnText = ReadonlyMap<string, string>

const DAY_US = 86_400_000_000n

/**
 * The data file that a row of RETURN_STATS describes. The row may be any of the forms that
 * @duckdb/node-api gives (maps as `{entries}`, lists of `{key, value}`, Maps) or plain objects.
 * Throws when the file is empty, spans two days, or lacks a value in a required column.
 */
export function dataFileOf(
  definition: TableDefinition,
  key: string,
  row: Readonly<Record<string, unknown>>,
): DataFile {
  const recordCount = Number(row.count)
  const fileBytes = Number(row.file_size_bytes)
  if (!(recordCount > 0) || !(fileBytes > 0)) {
    throw new Error(`${key} has ${String(row.count)} rows in ${String(row.file_size_bytes)} bytes`)
  }
  const columns = columnTexts(row.column_statistics)
  const columnSizes = new Map<number, number>()
  const valueCounts = new Map<number, number>()
  const nullCounts = new Map<number, number>()
  const lowerBounds = new Map<number, Bound>()
  const upperBounds = new Map<number, Bound>()
  for (const column of definition.columns) {
    const text = columns.get(column.name)
    if (!text) throw new Error(`${key} has no column ${column.name}`)
    const nullCount = count(text, 'null_count')
    if (column.required && nullCount !== 0) {
      throw new Error(`${key} has ${nullCount ?? 'unknown'} nulls in ${column.name}`)
    }
    valueCounts.set(column.id, recordCount)
    if (nullCount !== undefined) nullCounts.set(column.id, nullCount)
    const size = count(text, 'column_size_bytes')
    if (size !== undefined) columnSizes.set(column.id, size)
    if (!column.bounds || text.get('has_nan') === 'true') continue
    const lower = boundOf(column, text.get('min'), 'lower')
    const upper = boundOf(column, text.get('max'), 'upper')
    if (lower !== undefined) lowerBounds.set(column.id, lower)
    if (upper !== undefined) upperBounds.set(column.id, upper)
  }
  const partitionDay = dayOf(definition, key, lowerBounds, upperBounds)
  return {
    key,
    recordCount,
    fileBytes,
    partitionDay,
    columnSizes,
    valueCounts,
    nullCounts,
    lowerBounds,
    upperBounds,
  }
}

/** What a row of RETURN_STATS says of a file that may span days, without reading the file again. */
export interface FileFacts {
  /** Days since 1970-01-01, UTC, inclusive. */
  readonly firstDay: number
  readonly lastDay: number
  /** Rows that have a value; undefined where the engine does not say. */
  valueCount(column: string): number | undefined
}

/** Throws when the partition column has no bounds. */
export function factsOf(
  definition: TableDefinition,
  row: Readonly<Record<string, unknown>>,
): FileFacts {
  const columns = columnTexts(row.column_statistics)
  const times = columns.get(definition.partitionColumn)
  const first = microsecondsOf(times?.get('min') ?? '')
  const last = microsecondsOf(times?.get('max') ?? '')
  if (first === undefined || last === undefined) {
    throw new Error(`${definition.name} has no bounds of ${definition.partitionColumn}`)
  }
  return {
    firstDay: dayOfMicroseconds(first),
    lastDay: dayOfMicroseconds(last),
    valueCount(column) {
      const nullCount = count(columns.get(column) ?? new Map(), 'null_count')
      return nullCount === undefined ? undefined : Number(row.count) - nullCount
    },
  }
}

/** For COPY's option FIELD_IDS: `{"batch_id": 1, …}`. */
export function fieldIds(definition: TableDefinition): string {
  return `{${definition.columns.map((column) => `"${column.name}": ${column.id}`).join(', ')}}`
}

/** The DuckDB type that a Parquet column of this type is written from. */
export function sqlType(column: Pick<Column, 'type'>): string {
  return SQL_TYPES[column.type]
}

const SQL_TYPES = {
  string: 'VARCHAR',
  int: 'INTEGER',
  long: 'BIGINT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamptz: 'TIMESTAMPTZ',
} as const satisfies Record<Column['type'], string>

/** Days since 1970-01-01 of microseconds since then. */
export function dayOfMicroseconds(microseconds: bigint): number {
  const day = microseconds / DAY_US
  return Number(microseconds < 0n && day * DAY_US !== microseconds ? day - 1n : day)
}

function dayOf(
  definition: TableDefinition,
  key: string,
  lowerBounds: ReadonlyMap<number, Bound>,
  upperBounds: ReadonlyMap<number, Bound>,
): number {
  const { id } = definition.columns.find((column) => column.name === definition.partitionColumn)!
  const first = lowerBounds.get(id)
  const last = upperBounds.get(id)
  if (typeof first !== 'bigint' || typeof last !== 'bigint') {
    throw new Error(`${key} has no bounds of ${definition.partitionColumn}`)
  }
  const day = dayOfMicroseconds(first)
  if (day !== dayOfMicroseconds(last)) {
    throw new Error(`${key} spans days ${day} to ${dayOfMicroseconds(last)} of 1970`)
  }
  return day
}

function boundOf(
  column: Column,
  text: string | undefined,
  side: 'lower' | 'upper',
): Bound | undefined {
  if (text === undefined) return undefined
  switch (column.type) {
    case 'string':
      return side === 'lower' ? truncateLower(text) : truncateUpper(text)
    case 'int':
      return Number(text)
    case 'long':
      return BigInt(text)
    case 'double':
      return doubleBound(Number(text.replace('inf', 'Infinity')), side)
    case 'boolean':
      return text === '1' || text === 'true'
    case 'timestamptz':
      return microsecondsOf(text)
  }
}

const TIMESTAMP = /^(\d{4,6})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?\+00$/

/**
 * Microseconds since 1970 of DuckDB's text, which is in UTC whatever the session's time zone;
 * undefined for infinities and years before 1.
 */
function microsecondsOf(text: string): bigint | undefined {
  const parts = TIMESTAMP.exec(text)
  if (!parts) return undefined
  const [, year, month, day, hour, minute, second, fraction = ''] = parts
  const date = new Date(0)
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day))
  date.setUTCHours(Number(hour), Number(minute), Number(second))
  if (Number.isNaN(date.getTime())) return undefined
  return BigInt(date.getTime()) * 1000n + BigInt(fraction.padEnd(6, '0'))
}

function count(column: ColumnText, name: string): number | undefined {
  const text = column.get(name)
  return text === undefined ? undefined : Number(text)
}

function columnTexts(statistics: unknown): ReadonlyMap<string, ColumnText> {
  return new Map(
    pairs(statistics).map(([name, values]) => [
      unquoted(name),
      new Map(pairs(values).map(([statistic, value]) => [statistic, String(value)])),
    ]),
  )
}

/** Key and value of a map in whichever form it came. */
function pairs(map: unknown): readonly (readonly [string, unknown])[] {
  if (map === null || typeof map !== 'object') throw new Error('COPY returned no statistics')
  const entries = 'entries' in map && Array.isArray(map.entries) ? map.entries : map
  if (entries instanceof Map) return [...entries]
  if (!Array.isArray(entries)) return Object.entries(entries)
  return entries.map((entry: { key: string; value: unknown }) => [entry.key, entry.value])
}

/** Column names come as quoted SQL identifiers. */
function unquoted(name: string): string {
  return /^".*"$/s.test(name) ? name.slice(1, -1).replaceAll('""', '"') : name
}
