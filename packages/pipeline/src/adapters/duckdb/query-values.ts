/**
 * DuckDB's values as JSON, without losing what JSON's numbers cannot hold.
 *
 * Integers and decimals beyond what a double holds exactly are text, and so are NaN and the infinities,
 * which JSON does not have. Times are RFC 3339 in UTC with milliseconds, with microseconds where
 * there are any. Lists, structs and maps are JSON; a BLOB is Base64; the rest prints as the engine
 * prints it. docs/sql.md has the table.
 */
import {
  DuckDBArrayValue,
  DuckDBBlobValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBMapValue,
  DuckDBStructValue,
  DuckDBTimestampMillisecondsValue,
  DuckDBTimestampNanosecondsValue,
  DuckDBTimestampSecondsValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  DuckDBUnionValue,
  type DuckDBValue,
} from '@duckdb/node-api'
import type { JsonValue } from '../../query/csv.ts'

/** Digits that every double holds: IEEE 754 binary64 (DBL_DIG). */
const EXACT_DIGITS = 15

export function jsonOf(value: DuckDBValue): JsonValue {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value === 'bigint') return wholeNumber(value)
  if (value instanceof DuckDBDecimalValue) return decimal(value)
  if (value instanceof DuckDBListValue || value instanceof DuckDBArrayValue) {
    return value.items.map(jsonOf)
  }
  if (value instanceof DuckDBStructValue) {
    return object(Object.entries(value.entries))
  }
  if (value instanceof DuckDBMapValue) {
    return object(value.entries.map(({ key, value }) => [keyText(key), value]))
  }
  if (value instanceof DuckDBUnionValue) return jsonOf(value.value)
  if (value instanceof DuckDBBlobValue) return Buffer.from(value.bytes).toString('base64')
  return timeOf(value) ?? String(value)
}

function wholeNumber(value: bigint): number | string {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : String(value)
}

function decimal(value: DuckDBDecimalValue): number | string {
  const digits = String(value.value).replace('-', '').length
  return digits <= EXACT_DIGITS ? Number(String(value)) : String(value)
}

/** `fromEntries` defines members, so that a key `__proto__` is a key like others. */
function object(entries: readonly (readonly [string, DuckDBValue])[]): JsonValue {
  return Object.fromEntries(entries.map(([key, value]) => [key, jsonOf(value)]))
}

function keyText(key: DuckDBValue): string {
  const plain = jsonOf(key)
  return typeof plain === 'object' ? JSON.stringify(plain) : String(plain)
}

function timeOf(value: DuckDBValue): string | undefined {
  if (value instanceof DuckDBTimestampTZValue || value instanceof DuckDBTimestampValue) {
    return instant(value.micros, String(value))
  }
  if (value instanceof DuckDBTimestampMillisecondsValue) {
    return instant(value.millis * 1_000n, String(value))
  }
  if (value instanceof DuckDBTimestampSecondsValue) {
    return instant(value.seconds * 1_000_000n, String(value))
  }
  // Nanoseconds: as the engine prints them, made RFC 3339.
  if (value instanceof DuckDBTimestampNanosecondsValue) return rfc3339(String(value))
  return undefined
}

/** `2026-11-23T10:00:00.123Z`, or `.123456Z` where the microseconds are not zero. */
function instant(micros: bigint, printed: string): string {
  const rest = ((micros % 1_000n) + 1_000n) % 1_000n
  const date = new Date(Number((micros - rest) / 1_000n))
  // Infinities, and years that JavaScript's dates do not reach.
  if (Number.isNaN(date.getTime())) return printed
  const text = date.toISOString()
  return rest === 0n ? text : `${text.slice(0, -1)}${String(rest).padStart(3, '0')}Z`
}

function rfc3339(printed: string): string {
  return /^\d/.test(printed) ? `${printed.replace(' ', 'T')}Z` : printed
}
