/**
 * A data file as an entry of a manifest, and back.
 *
 * Reading takes what another engine wrote too, and refuses what would make our answers wrong: files
 * of row deletes, which our SQL over the Parquet files would not apply.
 */
import { MillraceError } from '../kit/errors.ts'
import type { DataFile } from './data-file.ts'
import { type Bound, decodeBound, encodeBound } from './iceberg/bounds.ts'
import { type ById, ENTRY_STATUS, type Manifest, type ManifestEntry } from './iceberg/manifest.ts'
import { partitionFieldName, type SnapshotId } from './iceberg/metadata.ts'
import { keyOf, locationOf, type ObjectStore } from './object-store.ts'
import type { ColumnType, TableDefinition } from './tables.ts'

const DATA = 0

/** The entry that adds `file`; its sequence numbers are inherited from the manifest list. */
export function addedEntry(
  store: Pick<ObjectStore, 'bucket'>,
  definition: TableDefinition,
  snapshotId: SnapshotId,
  file: DataFile,
): ManifestEntry {
  const types = columnTypes(definition)
  return {
    status: ENTRY_STATUS.added,
    snapshot_id: snapshotId,
    sequence_number: null,
    file_sequence_number: null,
    data_file: {
      content: DATA,
      file_path: locationOf(store, file.key),
      file_format: 'PARQUET',
      partition: { [partitionFieldName(definition)]: file.partitionDay },
      record_count: file.recordCount,
      file_size_in_bytes: file.fileBytes,
      column_sizes: byId(file.columnSizes),
      value_counts: byId(file.valueCounts),
      null_value_counts: byId(file.nullCounts),
      lower_bounds: encodedBounds(types, file.lowerBounds),
      upper_bounds: encodedBounds(types, file.upperBounds),
    },
  }
}

/** The live files of a manifest, in its order. */
export function filesOf(
  store: Pick<ObjectStore, 'bucket'>,
  definition: TableDefinition,
  manifest: Manifest,
): readonly DataFile[] {
  const types = columnTypes(definition)
  const source = definition.columns.find((column) => column.name === definition.partitionColumn)!
  const dayField = manifest.partitionFields.find(
    (field) => field['source-id'] === source.id && field.transform === 'day',
  )
  const live = manifest.entries.filter((entry) => entry.status !== ENTRY_STATUS.deleted)
  return live.map(({ data_file: file }) => {
    const day = dayField && file.partition[dayField.name]
    if (file.content !== DATA || file.file_format.toUpperCase() !== 'PARQUET') {
      throw foreign(`${file.file_path} is not a Parquet file of rows`)
    }
    if (typeof day !== 'number') {
      throw foreign(`${file.file_path} has no day of ${definition.partitionColumn}`)
    }
    return {
      key: keyOf(store, file.file_path),
      recordCount: file.record_count,
      fileBytes: file.file_size_in_bytes,
      partitionDay: day,
      columnSizes: mapOf(file.column_sizes),
      valueCounts: mapOf(file.value_counts),
      nullCounts: mapOf(file.null_value_counts),
      lowerBounds: decodedBounds(types, file.lower_bounds),
      upperBounds: decodedBounds(types, file.upper_bounds),
    }
  })
}

/** What another engine wrote that Millrace cannot read rightly. */
export function foreign(message: string): MillraceError {
  return new MillraceError('data_damaged', message, {
    hint: 'Another engine changed the table in a way that docs/formats/lake.md rules out.',
  })
}

function columnTypes(definition: TableDefinition): ReadonlyMap<number, ColumnType> {
  return new Map(definition.columns.map((column) => [column.id, column.type]))
}

function byId<T>(map: ReadonlyMap<number, T>): ById<T> {
  return [...map].map(([key, value]) => ({ key, value }))
}

function mapOf<T>(pairs: ById<T> | null | undefined): ReadonlyMap<number, T> {
  return new Map((pairs ?? []).map(({ key, value }) => [key, value]))
}

function encodedBounds(
  types: ReadonlyMap<number, ColumnType>,
  bounds: ReadonlyMap<number, Bound>,
): ById<Uint8Array> {
  return [...bounds].map(([key, value]) => ({ key, value: encodeBound(types.get(key)!, value) }))
}

function decodedBounds(
  types: ReadonlyMap<number, ColumnType>,
  bounds: ById<Uint8Array> | null | undefined,
): ReadonlyMap<number, Bound> {
  const decoded = new Map<number, Bound>()
  for (const { key, value } of bounds ?? []) {
    const type = types.get(key)
    const bound = type && decodeBound(type, value)
    if (bound !== undefined) decoded.set(key, bound)
  }
  return decoded
}
