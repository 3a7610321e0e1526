import { expect, test } from 'vitest'
import { EVENTS } from '../tables.ts'
import { decodeAvroFile, encodeAvroFile } from './avro.ts'
import {
  decodeManifest,
  decodeManifestList,
  encodeManifest,
  encodeManifestList,
  type ManifestEntry,
  type ManifestFile,
} from './manifest.ts'
import { currentSchema, defaultSpec, newTableMetadata } from './metadata.ts'

const TABLE = newTableMetadata(EVENTS, 's3://lake-test/shop/events', 'uuid', 1)
const BIG = 3035272945390601066n

function entry(path: string): ManifestEntry {
  return {
    status: 1,
    snapshot_id: 7,
    sequence_number: null,
    file_sequence_number: null,
    data_file: {
      content: 0,
      file_path: path,
      file_format: 'PARQUET',
      partition: { event_time_day: 20_758 },
      record_count: 3,
      file_size_in_bytes: 2 ** 40,
      column_sizes: [{ key: 1, value: 48 }],
      value_counts: [{ key: 1, value: 3 }],
      null_value_counts: [{ key: 1, value: 0 }],
      lower_bounds: [{ key: 5, value: Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]) }],
      upper_bounds: [],
    },
  }
}

function listed(path: string, addedSnapshotId: number | bigint): ManifestFile {
  return {
    manifest_path: path,
    manifest_length: 4711,
    partition_spec_id: 0,
    content: 0,
    sequence_number: 3,
    min_sequence_number: 1,
    added_snapshot_id: addedSnapshotId,
    added_files_count: 1,
    existing_files_count: 2,
    deleted_files_count: 3,
    added_rows_count: 4,
    existing_rows_count: 5,
    deleted_rows_count: 6,
    partitions: [
      {
        contains_null: false,
        contains_nan: null,
        lower_bound: Buffer.from([22, 81, 0, 0]),
        upper_bound: Buffer.from([23, 81, 0, 0]),
      },
    ],
    key_metadata: null,
  }
}

test('a manifest is decoded as it was encoded', () => {
  const entries = [entry('s3://lake-test/a.parquet'), entry('s3://lake-test/ü.parquet')]
  const bytes = encodeManifest(currentSchema(TABLE), defaultSpec(TABLE), entries)
  const manifest = decodeManifest(bytes)
  expect(manifest.entries).toEqual(entries)
  expect(manifest.partitionFields).toEqual(defaultSpec(TABLE).fields)
})

test('a manifest list is decoded as it was encoded, ids above 2^53 included', () => {
  const manifests = [listed('s3://lake-test/m0.avro', 7), listed('s3://lake-test/m1.avro', BIG)]
  expect(decodeManifestList(encodeManifestList(9, 7, 4, manifests))).toEqual(manifests)
  expect(decodeManifestList(encodeManifestList(9, undefined, 1, []))).toEqual([])
})

test('the header keeps field ids, and says which schema and partition the entries have', () => {
  const { metadata } = decodeAvroFile(encodeManifest(currentSchema(TABLE), defaultSpec(TABLE), []))
  const schema = JSON.parse(metadata.get('avro.schema')!)
  expect(schema.fields[0]).toEqual({ name: 'status', type: 'int', 'field-id': 0 })
  expect(metadata.get('avro.schema')).toContain('"field-id":1000')
  expect(JSON.parse(metadata.get('schema')!)).toEqual(currentSchema(TABLE))
  expect(JSON.parse(metadata.get('partition-spec')!)).toEqual(defaultSpec(TABLE).fields)
  expect(Object.fromEntries(metadata)).toMatchObject({
    'schema-id': '0',
    'partition-spec-id': '0',
    'format-version': '2',
    content: 'data',
  })
})

test('a manifest list cut at any byte is refused, or is its header alone', () => {
  const bytes = encodeManifestList(9, 7, 4, [listed('s3://lake-test/m0.avro', 7)])
  const whole = decodeManifestList(bytes)
  const readable: number[] = []
  for (let end = 0; end < bytes.length; end++) {
    try {
      decodeManifestList(bytes.subarray(0, end))
      readable.push(end)
    } catch {}
  }
  expect(whole).toHaveLength(1)
  // Avro has no end mark: the end of the header alone looks like a file without records.
  expect(readable).toEqual([headerBytes(bytes)])
})

/** The header ends with the marker, and so does the file. */
function headerBytes(bytes: Uint8Array): number {
  const file = Buffer.from(bytes)
  return file.indexOf(file.subarray(-16)) + 16
}

test('a file of another writer is read: many blocks, members left out', () => {
  const schema = {
    type: 'record',
    name: 'manifest_file',
    fields: [
      { name: 'manifest_path', type: 'string', 'field-id': 500 },
      { name: 'added_snapshot_id', type: ['null', 'long'], default: null, 'field-id': 503 },
    ],
  }
  const row = (path: string) => ({ manifest_path: path, added_snapshot_id: BIG })
  const one = Buffer.from(encodeAvroFile(schema, {}, [row('a')]))
  const rows = decodeManifestList(Buffer.concat([one, one.subarray(headerBytes(one))]))
  expect(rows).toHaveLength(2)
  expect(rows[1]).toEqual({ ...row('a'), partitions: null, key_metadata: null })
})

test('a codec that is not known is named', () => {
  const bytes = Buffer.from(encodeAvroFile('int', {}, []))
  const snappy = Buffer.from(bytes.toString('latin1').replace('deflate', 'snappyy'), 'latin1')
  expect(() => decodeAvroFile(snappy)).toThrow('Avro codec snappyy is not supported')
})
