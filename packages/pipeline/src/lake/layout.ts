/**
 * Where a table's objects lie, docs/formats/lake.md: `<namespace>/<table>/metadata/…` and
 * `<namespace>/<table>/data/<partitionColumn>_day=YYYY-MM-DD/<uuid>.parquet`.
 *
 * The day in a key is for people and for Hive readers; Iceberg readers take it from the manifest.
 * It is named unlike any column, so that no reader takes it for one.
 */
import type { TableIdentifier } from './catalog.ts'
import { partitionFieldName } from './iceberg/metadata.ts'
import type { TableDefinition } from './tables.ts'

const NAME = /^[a-z][a-z0-9_]{0,40}$/
const DAY_MS = 86_400_000

/** `<namespace>/<table>`; throws on a name that is none, since names become paths. */
export function tableFolder(table: TableIdentifier): string {
  for (const name of [table.namespace, table.name]) {
    if (!NAME.test(name)) throw new Error(`${JSON.stringify(name)} is no name of the lake`)
  }
  return `${table.namespace}/${table.name}`
}

export function isLakeName(name: string): boolean {
  return NAME.test(name)
}

/** The key for a new data file; `uuid` makes it unique. */
export function dataKey(
  table: TableIdentifier,
  definition: TableDefinition,
  partitionDay: number,
  uuid: string,
): string {
  const folder = `${partitionFieldName(definition)}=${dayText(partitionDay)}`
  return `${tableFolder(table)}/data/${folder}/${uuid}.parquet`
}

/** YYYY-MM-DD of days since 1970-01-01. */
export function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, -'T00:00:00.000Z'.length)
}
