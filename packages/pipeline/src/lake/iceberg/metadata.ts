/**
 * An Iceberg table's metadata file, and the pure steps that lead from one to the next.
 *
 * Member names are those of the specification (https://iceberg.apache.org/spec/#table-metadata,
 * format version 2), so the type is the file. A metadata file is immutable: every step returns a
 * new one and carries members it does not know along, since another engine may have written them.
 * What must always hold: sequence numbers and timestamps never go back, and schema ids keep their
 * meaning.
 */
import type { Random } from '../../kit/clock.ts'
import { MillraceError } from '../../kit/errors.ts'
import type { Column, TableDefinition } from '../tables.ts'

/** A bigint only where another engine made an id above 2^53 (see lossless-json.ts). */
export type SnapshotId = number | bigint

export interface SchemaField {
  readonly id: number
  readonly name: string
  readonly required: boolean
  /** A primitive's name; an object for the nested types that only other engines write. */
  readonly type: unknown
  readonly doc?: string
}

export interface TableSchema {
  readonly type: 'struct'
  readonly 'schema-id': number
  readonly fields: readonly SchemaField[]
}

export interface PartitionField {
  readonly 'source-id': number
  readonly 'field-id': number
  readonly name: string
  readonly transform: string
}

export interface PartitionSpec {
  readonly 'spec-id': number
  readonly fields: readonly PartitionField[]
}

export interface Snapshot {
  readonly 'snapshot-id': SnapshotId
  readonly 'parent-snapshot-id'?: SnapshotId
  readonly 'sequence-number': number
  readonly 'timestamp-ms': number
  readonly 'manifest-list': string
  readonly summary: Readonly<Record<string, string>>
  readonly 'schema-id'?: number
}

export interface TableMetadata {
  readonly 'format-version': 2
  readonly 'table-uuid': string
  readonly location: string
  readonly 'last-sequence-number': number
  readonly 'last-updated-ms': number
  readonly 'last-column-id': number
  readonly 'current-schema-id': number
  readonly schemas: readonly TableSchema[]
  readonly 'default-spec-id': number
  readonly 'partition-specs': readonly PartitionSpec[]
  readonly 'last-partition-id': number
  readonly 'default-sort-order-id': number
  readonly 'sort-orders': readonly {
    readonly 'order-id': number
    readonly fields: readonly unknown[]
  }[]
  readonly properties: Readonly<Record<string, string>>
  /** −1 while the table has no snapshot, as the reference implementation writes it. */
  readonly 'current-snapshot-id'?: SnapshotId
  readonly refs?: Readonly<
    Record<string, { readonly 'snapshot-id': SnapshotId; readonly type: string }>
  >
  readonly snapshots?: readonly Snapshot[]
  readonly 'snapshot-log'?: readonly {
    readonly 'snapshot-id': SnapshotId
    readonly 'timestamp-ms': number
  }[]
  readonly 'metadata-log'?: readonly {
    readonly 'metadata-file': string
    readonly 'timestamp-ms': number
  }[]
}

/** Entries kept in `metadata-log`; 100 is the reference implementation's default. */
const METADATA_LOG_MAX = 100
/** The first partition field id; smaller ones could meet a column's. */
const FIRST_PARTITION_FIELD_ID = 1000

/** `<column>_day`: the partition field, and the key's part in the layout of data files. */
export function partitionFieldName(definition: TableDefinition): string {
  return `${definition.partitionColumn}_day`
}

/** A table without a snapshot. `location` is `s3://<bucket>/<namespace>/<table>`. */
export function newTableMetadata(
  definition: TableDefinition,
  location: string,
  uuid: string,
  nowMs: number,
): TableMetadata {
  const source = definition.columns.find((column) => column.name === definition.partitionColumn)!
  return {
    'format-version': 2,
    'table-uuid': uuid,
    location,
    'last-sequence-number': 0,
    'last-updated-ms': nowMs,
    'last-column-id': Math.max(...definition.columns.map((column) => column.id)),
    'current-schema-id': 0,
    schemas: [{ type: 'struct', 'schema-id': 0, fields: definition.columns.map(schemaField) }],
    'default-spec-id': 0,
    'partition-specs': [
      {
        'spec-id': 0,
        fields: [
          {
            'source-id': source.id,
            'field-id': FIRST_PARTITION_FIELD_ID,
            name: partitionFieldName(definition),
            transform: 'day',
          },
        ],
      },
    ],
    'last-partition-id': FIRST_PARTITION_FIELD_ID,
    'default-sort-order-id': 0,
    'sort-orders': [{ 'order-id': 0, fields: [] }],
    properties: {
      comment: definition.doc,
      'write.format.default': 'parquet',
      'write.parquet.compression-codec': 'zstd',
    },
    'current-snapshot-id': -1,
    refs: {},
    snapshots: [],
    'snapshot-log': [],
    'metadata-log': [],
  }
}

/** What a commit adds; the rest of the snapshot follows from the metadata it is added to. */
export interface NewSnapshot {
  readonly snapshotId: SnapshotId
  readonly sequenceNumber: number
  readonly manifestList: string
  readonly summary: Readonly<Record<string, string>>
  readonly nowMs: number
}

/**
 * The metadata with `added` as the newest snapshot of branch main. `previousLocation` is the file
 * that `metadata` was read from; undefined for a table that is being made.
 */
export function withSnapshot(
  metadata: TableMetadata,
  added: NewSnapshot,
  previousLocation: string | undefined,
): TableMetadata {
  const parent = currentSnapshot(metadata)
  // Readers refuse a table whose clock runs back, and the machine's may.
  const timestampMs = Math.max(added.nowMs, metadata['last-updated-ms'])
  const snapshot: Snapshot = {
    'snapshot-id': added.snapshotId,
    ...(parent && { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': added.sequenceNumber,
    'timestamp-ms': timestampMs,
    'manifest-list': added.manifestList,
    summary: added.summary,
    'schema-id': metadata['current-schema-id'],
  }
  const logEntry = { 'snapshot-id': added.snapshotId, 'timestamp-ms': timestampMs }
  const main = { ...metadata.refs?.main, 'snapshot-id': added.snapshotId, type: 'branch' }
  return {
    ...metadata,
    'last-sequence-number': added.sequenceNumber,
    'last-updated-ms': timestampMs,
    'current-snapshot-id': added.snapshotId,
    refs: { ...metadata.refs, main },
    snapshots: [...(metadata.snapshots ?? []), snapshot],
    'snapshot-log': [...(metadata['snapshot-log'] ?? []), logEntry],
    'metadata-log': withPrevious(metadata, previousLocation),
  }
}

/**
 * The metadata with every column of the definition in its current schema: the same object when none
 * is missing. An added column is optional, whatever the definition says: older files lack it.
 */
export function withColumns(metadata: TableMetadata, definition: TableDefinition): TableMetadata {
  const schema = currentSchema(metadata)
  const byId = new Map(schema.fields.map((field) => [field.id, field]))
  for (const column of definition.columns) {
    const field = byId.get(column.id)
    if (field !== undefined && (field.name !== column.name || field.type !== column.type)) {
      throw new MillraceError(
        'data_newer',
        `column ${column.id} of ${metadata.location} is ${field.name} ${String(field.type)}, ` +
          `not ${column.name} ${column.type}`,
      )
    }
  }
  const missing = definition.columns.filter((column) => !byId.has(column.id))
  if (missing.length === 0) return metadata
  const added = missing.map((column) => ({ ...schemaField(column), required: false }))
  const id = Math.max(...metadata.schemas.map((each) => each['schema-id'])) + 1
  const next: TableSchema = {
    ...schema,
    'schema-id': id,
    fields: [...schema.fields, ...added].sort((a, b) => a.id - b.id),
  }
  return {
    ...metadata,
    'last-column-id': Math.max(metadata['last-column-id'], ...added.map((field) => field.id)),
    'current-schema-id': id,
    schemas: [...metadata.schemas, next],
  }
}

export function currentSchema(metadata: TableMetadata): TableSchema {
  const id = metadata['current-schema-id']
  const schema = metadata.schemas.find((each) => each['schema-id'] === id)
  if (!schema) throw damaged(`${metadata.location} has no schema ${id}`)
  return schema
}

export function defaultSpec(metadata: TableMetadata): PartitionSpec {
  const id = metadata['default-spec-id']
  const spec = metadata['partition-specs'].find((each) => each['spec-id'] === id)
  if (!spec) throw damaged(`${metadata.location} has no partition spec ${id}`)
  return spec
}

/** The newest snapshot of branch main; undefined while there is none. */
export function currentSnapshot(metadata: TableMetadata): Snapshot | undefined {
  const id = metadata['current-snapshot-id']
  if (id === undefined || id === null || id === -1) {
    // Taken for empty, such a table would be filled from the log a second time.
    if (metadata['last-sequence-number'] === 0) return undefined
    throw damaged(`${metadata.location} has had commits and names no current snapshot`)
  }
  const snapshot = snapshotById(metadata, id)
  if (!snapshot) throw damaged(`${metadata.location} has no snapshot ${id}`)
  return snapshot
}

export function snapshotById(metadata: TableMetadata, id: SnapshotId): Snapshot | undefined {
  return metadata.snapshots?.find((each) => each['snapshot-id'] === id)
}

/** Positive and below 2^53, so that every JSON reader keeps it. */
export function newSnapshotId(random: Random): number {
  const bytes = Buffer.from(random.bytes(7))
  bytes[0]! &= 0x1f // 5 + 48 bits
  return bytes.readUIntBE(0, 1) * 2 ** 48 + bytes.readUIntBE(1, 6) || 1
}

/** A random UUID (RFC 9562, version 4). */
export function newUuid(random: Random): string {
  const bytes = Buffer.from(random.bytes(16))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function schemaField(column: Column): SchemaField {
  return {
    id: column.id,
    name: column.name,
    required: column.required ?? false,
    type: column.type,
    doc: column.doc,
  }
}

function withPrevious(
  metadata: TableMetadata,
  previousLocation: string | undefined,
): NonNullable<TableMetadata['metadata-log']> {
  const log = metadata['metadata-log'] ?? []
  if (previousLocation === undefined) return log
  const entry = { 'metadata-file': previousLocation, 'timestamp-ms': metadata['last-updated-ms'] }
  return [...log, entry].slice(-METADATA_LOG_MAX)
}

function damaged(message: string): MillraceError {
  return new MillraceError('data_damaged', message)
}
