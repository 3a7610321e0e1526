/**
 * Manifests (which files, with what statistics) and manifest lists (which manifests make a
 * snapshot): https://iceberg.apache.org/spec/#manifests, format version 2.
 *
 * Sequence numbers of added files are written as null and inherited from the manifest list: a
 * manifest is written before its commit has won its number, and stays valid when the commit is
 * tried again. A manifest is immutable, so whoever has read one may keep it.
 */
import { type AvroSchema, decodeAvroFile, encodeAvroFile } from './avro.ts'
import type { PartitionSpec, SnapshotId, TableSchema } from './metadata.ts'

export const ENTRY_STATUS = { existing: 0, added: 1, deleted: 2 } as const
export const MANIFEST_CONTENT = { data: 0, deletes: 1 } as const

/** Of a data file, by field id; as Avro holds Iceberg's maps. */
export type ById<T> = readonly { readonly key: number; readonly value: T }[]

export interface ManifestEntry {
  readonly status: number
  readonly snapshot_id: SnapshotId | null
  readonly sequence_number: number | bigint | null
  readonly file_sequence_number: number | bigint | null
  readonly data_file: {
    /** 0: data; others are deletes of rows. */
    readonly content: number
    readonly file_path: string
    readonly file_format: string
    /** By partition field name; a day is days since 1970-01-01. */
    readonly partition: Readonly<Record<string, unknown>>
    readonly record_count: number
    readonly file_size_in_bytes: number
    readonly column_sizes: ById<number> | null
    readonly value_counts: ById<number> | null
    readonly null_value_counts: ById<number> | null
    readonly lower_bounds: ById<Uint8Array> | null
    readonly upper_bounds: ById<Uint8Array> | null
  }
}

/** A row of a manifest list. */
export interface ManifestFile {
  readonly manifest_path: string
  readonly manifest_length: number
  readonly partition_spec_id: number
  readonly content: number
  readonly sequence_number: number | bigint
  readonly min_sequence_number: number | bigint
  readonly added_snapshot_id: SnapshotId
  readonly added_files_count: number
  readonly existing_files_count: number
  readonly deleted_files_count: number
  readonly added_rows_count: number
  readonly existing_rows_count: number
  readonly deleted_rows_count: number
  /** One for each partition field: engines leave a whole manifest unread by it. */
  readonly partitions:
    | readonly {
        readonly contains_null: boolean
        readonly contains_nan: boolean | null
        readonly lower_bound: Uint8Array | null
        readonly upper_bound: Uint8Array | null
      }[]
    | null
  readonly key_metadata: Uint8Array | null
}

export function encodeManifest(
  schema: TableSchema,
  spec: PartitionSpec,
  entries: readonly ManifestEntry[],
): Uint8Array {
  const header = {
    schema: JSON.stringify(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': JSON.stringify(spec.fields),
    'partition-spec-id': String(spec['spec-id']),
    'format-version': '2',
    content: 'data',
  }
  return encodeAvroFile(entrySchema(spec), header, entries)
}

export interface Manifest {
  /** What `partition` of the entries means. */
  readonly partitionFields: PartitionSpec['fields']
  readonly entries: readonly ManifestEntry[]
}

export function decodeManifest(bytes: Uint8Array): Manifest {
  const { metadata, records } = decodeAvroFile(bytes)
  return {
    partitionFields: JSON.parse(metadata.get('partition-spec') ?? '[]'),
    entries: records as ManifestEntry[],
  }
}

export function encodeManifestList(
  snapshotId: SnapshotId,
  parentSnapshotId: SnapshotId | undefined,
  sequenceNumber: number,
  manifests: readonly ManifestFile[],
): Uint8Array {
  const header = {
    'snapshot-id': String(snapshotId),
    'parent-snapshot-id': parentSnapshotId === undefined ? 'null' : String(parentSnapshotId),
    'sequence-number': String(sequenceNumber),
    'format-version': '2',
  }
  return encodeAvroFile(MANIFEST_LIST_SCHEMA, header, manifests)
}

export function decodeManifestList(bytes: Uint8Array): readonly ManifestFile[] {
  const rows = decodeAvroFile(bytes).records as Partial<ManifestFile>[]
  // Optional members that another writer left out of its schema.
  return rows.map((row) => ({ partitions: null, key_metadata: null, ...row }) as ManifestFile)
}

function entrySchema(spec: PartitionSpec): AvroSchema {
  const partition = spec.fields.map((field) =>
    optional(field['field-id'], field.name, { type: 'int', logicalType: 'date' }),
  )
  return record('manifest_entry', [
    required(0, 'status', 'int'),
    optional(1, 'snapshot_id', 'long'),
    optional(3, 'sequence_number', 'long'),
    optional(4, 'file_sequence_number', 'long'),
    required(
      2,
      'data_file',
      record('r2', [
        required(134, 'content', 'int'),
        required(100, 'file_path', 'string'),
        required(101, 'file_format', 'string'),
        required(102, 'partition', record('r102', partition)),
        required(103, 'record_count', 'long'),
        required(104, 'file_size_in_bytes', 'long'),
        optional(108, 'column_sizes', mapById(117, 118, 'long')),
        optional(109, 'value_counts', mapById(119, 120, 'long')),
        optional(110, 'null_value_counts', mapById(121, 122, 'long')),
        optional(125, 'lower_bounds', mapById(126, 127, 'bytes')),
        optional(128, 'upper_bounds', mapById(129, 130, 'bytes')),
      ]),
    ),
  ])
}

const MANIFEST_LIST_SCHEMA: AvroSchema = record('manifest_file', [
  required(500, 'manifest_path', 'string'),
  required(501, 'manifest_length', 'long'),
  required(502, 'partition_spec_id', 'int'),
  required(517, 'content', 'int'),
  required(515, 'sequence_number', 'long'),
  required(516, 'min_sequence_number', 'long'),
  required(503, 'added_snapshot_id', 'long'),
  required(504, 'added_files_count', 'int'),
  required(505, 'existing_files_count', 'int'),
  required(506, 'deleted_files_count', 'int'),
  required(512, 'added_rows_count', 'long'),
  required(513, 'existing_rows_count', 'long'),
  required(514, 'deleted_rows_count', 'long'),
  optional(507, 'partitions', {
    type: 'array',
    'element-id': 508,
    items: record('r508', [
      required(509, 'contains_null', 'boolean'),
      optional(518, 'contains_nan', 'boolean'),
      optional(510, 'lower_bound', 'bytes'),
      optional(511, 'upper_bound', 'bytes'),
    ]),
  }),
  optional(519, 'key_metadata', 'bytes'),
])

function record(name: string, fields: readonly AvroSchema[]): AvroSchema {
  return { type: 'record', name, fields }
}

function required(fieldId: number, name: string, type: AvroSchema): AvroSchema {
  return { name, type, 'field-id': fieldId }
}

function optional(fieldId: number, name: string, type: AvroSchema): AvroSchema {
  return { name, type: ['null', type], default: null, 'field-id': fieldId }
}

/** Avro's maps have string keys only: a map by id is an array of pairs with this logical type. */
function mapById(keyId: number, valueId: number, valueType: string): AvroSchema {
  return {
    type: 'array',
    logicalType: 'map',
    items: record(`k${keyId}_v${valueId}`, [
      required(keyId, 'key', 'int'),
      required(valueId, 'value', valueType),
    ]),
  }
}
