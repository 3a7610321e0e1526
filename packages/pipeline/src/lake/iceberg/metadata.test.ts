import { expect, test } from 'vitest'
import { EVENTS } from '../tables.ts'
import {
  currentSchema,
  currentSnapshot,
  newSnapshotId,
  newTableMetadata,
  newUuid,
  withColumns,
  withSnapshot,
} from './metadata.ts'

const LOCATION = 's3://lake-test/shop/events'
const made = newTableMetadata(EVENTS, LOCATION, 'uuid', 1000)

function snapshot(snapshotId: number, nowMs: number) {
  const manifestList = `${LOCATION}/metadata/snap-${snapshotId}.avro`
  return {
    snapshotId,
    sequenceNumber: snapshotId,
    manifestList,
    summary: { operation: 'append' },
    nowMs,
  }
}

test('a new table has the definition as its schema, and the day of its time as its partition', () => {
  const fields = currentSchema(made).fields
  expect(fields).toHaveLength(EVENTS.columns.length)
  expect(fields[0]).toEqual({
    id: 1,
    name: 'batch_id',
    required: true,
    type: 'string',
    doc: EVENTS.columns[0]!.doc,
  })
  expect(fields[2]).toMatchObject({ name: 'event_id', required: false })
  expect(made['partition-specs'][0]!.fields).toEqual([
    { 'source-id': 5, 'field-id': 1000, name: 'event_time_day', transform: 'day' },
  ])
  expect(made['last-column-id']).toBe(47)
  expect(currentSnapshot(made)).toBeUndefined()
})

test('a snapshot is the head of main, knows its parent, and leaves the old metadata as it was', () => {
  const before = structuredClone(made)
  const one = withSnapshot(made, snapshot(1, 2000), undefined)
  const two = withSnapshot(one, snapshot(2, 3000), `${LOCATION}/metadata/v1.metadata.json`)
  expect(made).toEqual(before)
  expect(currentSnapshot(two)).toMatchObject({
    'snapshot-id': 2,
    'parent-snapshot-id': 1,
    'sequence-number': 2,
    'timestamp-ms': 3000,
    'schema-id': 0,
  })
  expect(currentSnapshot(one)).not.toHaveProperty('parent-snapshot-id')
  expect(two.refs).toEqual({ main: { 'snapshot-id': 2, type: 'branch' } })
  expect(two['last-sequence-number']).toBe(2)
  expect(two['snapshot-log']!.map((entry) => entry['snapshot-id'])).toEqual([1, 2])
  expect(two['metadata-log']).toEqual([
    { 'metadata-file': `${LOCATION}/metadata/v1.metadata.json`, 'timestamp-ms': 2000 },
  ])
})

test('a table with commits that names no current snapshot is damaged, not empty', () => {
  const { 'current-snapshot-id': _, ...nameless } = withSnapshot(made, snapshot(1, 2000), undefined)
  for (const lost of [nameless, { ...nameless, 'current-snapshot-id': -1 }]) {
    expect(() => currentSnapshot(lost)).toThrow(/names no current snapshot/)
  }
})

test('a clock that runs back does not take the table with it', () => {
  const one = withSnapshot(made, snapshot(1, 5000), undefined)
  const two = withSnapshot(one, snapshot(2, 4000), 'v1')
  expect(currentSnapshot(two)!['timestamp-ms']).toBe(5000)
  expect(two['last-updated-ms']).toBe(5000)
})

test('the metadata log keeps the newest hundred', () => {
  let metadata = made
  for (let id = 1; id <= 105; id++) metadata = withSnapshot(metadata, snapshot(id, id), `v${id}`)
  const log = metadata['metadata-log']!
  expect(log).toHaveLength(100)
  expect(log[0]!['metadata-file']).toBe('v6')
  expect(log.at(-1)!['metadata-file']).toBe('v105')
})

test('what another engine put into the metadata is carried along', () => {
  const theirs = {
    ...made,
    statistics: [{ 'snapshot-id': 7 }],
    refs: { tag: { 'snapshot-id': 9n, type: 'tag' } },
  }
  const next = withSnapshot(theirs, snapshot(1, 2000), 'v1')
  expect(next).toHaveProperty('statistics', [{ 'snapshot-id': 7 }])
  expect(next.refs!.tag).toEqual({ 'snapshot-id': 9n, type: 'tag' })
})

test('a column that the definition gained is added as optional, under a new schema id', () => {
  const column = { id: 48, name: 'extra', type: 'long', required: true, doc: 'new' } as const
  const grown = { ...EVENTS, columns: [...EVENTS.columns, column] }
  const next = withColumns(made, grown)
  expect(next.schemas).toHaveLength(2)
  expect(currentSchema(next)['schema-id']).toBe(1)
  expect(currentSchema(next).fields.at(-1)).toMatchObject({
    id: 48,
    name: 'extra',
    required: false,
  })
  expect(next['last-column-id']).toBe(48)
  expect(withColumns(next, grown)).toBe(next)
  // An older version of the program writes on to the grown table.
  expect(withColumns(next, EVENTS)).toBe(next)
})

test('a column id that means something else in the table is refused', () => {
  const [first, ...rest] = EVENTS.columns
  const renamed = { ...EVENTS, columns: [{ ...first!, name: 'other' }, ...rest] }
  expect(() => withColumns(made, renamed)).toThrow('column 1 of s3://lake-test/shop/events')
  const retyped = { ...EVENTS, columns: [{ ...first!, type: 'long' as const }, ...rest] }
  expect(() => withColumns(made, retyped)).toThrow('batch_id string, not batch_id long')
})

test('snapshot ids are positive and below 2^53; uuids are of version 4', () => {
  const all = (byte: number) => ({ bytes: (count: number) => new Uint8Array(count).fill(byte) })
  expect(newSnapshotId(all(255))).toBe(Number.MAX_SAFE_INTEGER)
  expect(newSnapshotId(all(0))).toBe(1)
  expect(newUuid(all(255))).toBe('ffffffff-ffff-4fff-bfff-ffffffffffff')
  expect(newUuid(all(0))).toBe('00000000-0000-4000-8000-000000000000')
})
