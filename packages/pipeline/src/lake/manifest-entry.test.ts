import { expect, test } from 'vitest'
import type { DataFile } from './data-file.ts'
import { ENTRY_STATUS, type ManifestEntry } from './iceberg/manifest.ts'
import { addedEntry, filesOf } from './manifest-entry.ts'
import { REJECTIONS } from './tables.ts'

const STORE = { bucket: 'lake-test' }
const DAY_FIELD = {
  'source-id': 2,
  'field-id': 1000,
  name: 'received_at_day',
  transform: 'day',
}
const FILE: DataFile = {
  key: 'shop/rejections/data/received_at_day=2026-11-01/u.parquet',
  recordCount: 3,
  fileBytes: 900,
  partitionDay: 20_758,
  columnSizes: new Map([[1, 40]]),
  valueCounts: new Map([[1, 3]]),
  nullCounts: new Map([[1, 0]]),
  lowerBounds: new Map<number, bigint | string>([
    [2, 1_793_491_200_000_000n],
    [4, 'bad_json'],
  ]),
  upperBounds: new Map<number, bigint | string>([
    [2, 1_793_491_200_000_009n],
    [4, 'too_late'],
  ]),
}

function read(entries: readonly ManifestEntry[], partitionFields = [DAY_FIELD]) {
  return filesOf(STORE, REJECTIONS, { partitionFields, entries })
}

const ENTRY = addedEntry(STORE, REJECTIONS, 7, FILE)

test('a file comes back from its entry as it was', () => {
  expect(read([ENTRY])).toEqual([FILE])
})

test('files that were deleted are left out, files that were kept are not', () => {
  const deleted = { ...ENTRY, status: ENTRY_STATUS.deleted }
  const existing = { ...ENTRY, status: ENTRY_STATUS.existing }
  expect(read([deleted, existing])).toEqual([FILE])
})

test("another engine's partition field of another name is understood", () => {
  const named = { ...ENTRY, data_file: { ...ENTRY.data_file, partition: { day: 20_758 } } }
  expect(read([named], [{ ...DAY_FIELD, name: 'day' }])).toEqual([FILE])
})

test('bounds of columns that are not ours, or of another length, are not used', () => {
  const lower_bounds = [
    { key: 99, value: Buffer.from('x') },
    { key: 2, value: Buffer.from('x') },
  ]
  const odd = { ...ENTRY, data_file: { ...ENTRY.data_file, lower_bounds } }
  expect(read([odd])[0]!.lowerBounds).toEqual(new Map())
})

test.each([
  ['deletes of rows', { content: 1 }, 'is not a Parquet file of rows'],
  ['another file format', { file_format: 'ORC' }, 'is not a Parquet file of rows'],
  ['another partition', { partition: {} }, 'has no day of received_at'],
  ['another bucket', { file_path: 's3://theirs/x.parquet' }, 'not in bucket lake-test'],
])('%s are refused', (_name, change, message) => {
  const changed = { ...ENTRY, data_file: { ...ENTRY.data_file, ...change } }
  expect(() => read([changed])).toThrow(message)
})
