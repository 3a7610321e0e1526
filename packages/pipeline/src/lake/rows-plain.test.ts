/**
 * The SQL of both forms of batches against a specification in plain JavaScript, over random batches.
 *
 * test/support/plain-rows.ts says slowly what rows a record stands for. Random records of objects, and
 * random packed records beside their unpacked selves, must give exactly its rows: so no trick for speed
 * can change a row, and packed columns lose nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { DATA_COLUMNS } from '@millrace/protocol'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { flagsOf, type PlainRow, plainRows, unpacked } from '../../../../test/support/plain-rows.ts'
import { rowsFromLog } from './rows-from-log.ts'
import { EVENTS } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-plain-'))
const RECEIVED = Date.parse('2026-03-02T12:00:00Z')
/** Few, with many batches each: a query costs more than its rows. */
const RUNS = { numRuns: 30 }
let connection: DuckDBConnection

beforeAll(async () => {
  connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  await connection.run("SET TimeZone = 'UTC'")
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true, force: true })
})

/** Rows of these records, times as microseconds, in the order of offset and place. */
async function rowsOf(records: readonly object[], forms?: { objects: boolean; packed: boolean }) {
  const path = join(folder, 'lines.ndjson')
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''))
  const sql = rowsFromLog({
    ...{ table: 'events', lines: `'${path}'`, sources: [], logId: '' },
    ...(forms === undefined ? {} : { forms }),
  })
  const columns = EVENTS.columns.map(({ name, type }) =>
    type === 'timestamptz' ? `CAST(epoch_us("${name}") AS DOUBLE) AS "${name}"` : `"${name}"`,
  )
  const reader = await connection.runAndReadAll(
    `SELECT ${columns.join(', ')} FROM (${sql}) ORDER BY log_offset, event_index`,
  )
  return reader.getRowObjectsJson().map((row) => ({
    ...row,
    log_offset: Number(row.log_offset),
    data: row.data === null ? null : JSON.parse(String(row.data)),
  }))
}

const sorted = (rows: PlainRow[]) =>
  rows.sort(
    (a, b) =>
      Number(a.log_offset) - Number(b.log_offset) || Number(a.event_index) - Number(b.event_index),
  )

const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })
const name = fc.stringMatching(/^[a-zäß"' ]{1,6}$/)
const coordinate = fc.oneof(
  fc.integer({ min: -50, max: 4_000 }),
  fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((value) => value + 0),
)
const timestamp = fc
  .integer({ min: RECEIVED - 8 * 86_400_000, max: RECEIVED + 600_000 })
  .chain((ms) => fc.constantFrom<string | number>(ms, new Date(ms).toISOString()))
const path = fc.constantFrom(
  ...[
    '/a/b',
    '/',
    '/a?x=1',
    '/ä#top',
    'https://Shop.test:8443/a/b?utm_source=news+x&utm_term=%C3%A4',
  ],
  ...[
    'https://me:pw@shop.test',
    '/a?gclid=1&fbclid=2',
    '/go/http://x.test/b',
    '?utm_medium=m#?utm_term=t',
  ],
  ...['/a?utm_content=', '/utm_source=1', 'app://home/x?wbraid=&msclkid=9'],
)
const consent = fc.record(
  { measure: fc.boolean(), profile: fc.boolean(), personalize: fc.boolean() },
  { requiredKeys: [] },
)
const fittingData = fc.record(
  Object.fromEntries(
    Object.entries(DATA_COLUMNS).map(([key, { kind }]) => [
      key,
      { text: name, integer: fc.integer({ min: -9, max: 9_999 }), coordinate }[kind],
    ]),
  ),
  { requiredKeys: [] },
)
const ownData = fc.dictionary(
  fc.constantFrom('own', 'ClientX', 'a"b', 'form'),
  fc.oneof(name, fc.integer(), fc.constant(null), fc.constant({ clientX: 1, none: null })),
)
const wildData = fc.dictionary(
  fc.constantFrom('clientX', 'button', 'referrer', 'pointerId', 'own'),
  fc.oneof(
    name,
    fc.constant('12'),
    fc.integer(),
    fc.constantFrom(2 ** 31, 2 ** 31 - 1, -(2 ** 31)),
    fc.boolean(),
    fc.constant(1.5),
    fc.constant(null),
  ),
)
/** Of one batch: most batches have nothing but columns, and the flags are the batch's. */
const datas = (count: number) =>
  fc
    .constantFrom(
      fittingData,
      fc.tuple(fittingData, ownData).map((both) => Object.assign({}, ...both)),
      fc.tuple(fittingData, wildData).map((both) => Object.assign({}, ...both)),
    )
    .chain((data) => fc.array(maybe(data), { minLength: count, maxLength: count }))

const ids = {
  visitorId: name,
  userId: name,
  sessionId: name,
  pageId: name,
  browser: name,
  path,
  consent,
}
const defaults = fc.record(ids, { requiredKeys: [] })
const context = fc.record(
  {
    ...{ browser: name, os: name, device: name, country: fc.constantFrom('DE', 'FR') },
    origin: fc.constantFrom(null, 'https://Shop.example:81'),
    ...{ bot: fc.boolean(), gpc: fc.boolean() },
  },
  { requiredKeys: ['gpc'] },
)
const head = fc.record({
  s: fc.integer({ min: 1, max: 3 }),
  q: fc.constantFrom(null, RECEIVED - 3_600_000, RECEIVED - 20_000, RECEIVED + 40_000),
  b: name,
  historical: fc.boolean(),
  d: defaults,
  c: context,
})
const event = fc.record(
  { ...ids, eventType: name, timestamp, eventId: name, seq: fc.nat(), target: name },
  { requiredKeys: ['eventType', 'timestamp'] },
)

/** A record's line; `data` are those that its flags are about. */
function record({ historical, ...given }: Record<string, unknown>, o: number, data: unknown[]) {
  const f = flagsOf(data) | (historical ? 4 : 0)
  return { ...{ o, t: 1, r: RECEIVED, n: 1, i: null, e: null, p: null, x: null }, ...given, f }
}

const objects = fc
  .tuple(head, fc.array(event, { minLength: 1, maxLength: 4 }))
  .chain(([given, events]) =>
    fc.tuple(datas(events.length), fc.boolean()).map(([data, isSplit]) => ({
      given: {
        ...given,
        e: events.map((each, place) => ({ ...each, data: data[place] })),
        i: isSplit ? events.map((_, place) => place * 2 + 1) : null,
      },
      data,
    })),
  )

const packed = fc
  .tuple(head, fc.integer({ min: 1, max: 9 }), fc.array(name, { minLength: 1, maxLength: 3 }))
  .chain(([given, count, types]) => {
    const column = <T>(value: fc.Arbitrary<T>) =>
      fc.array(value, { minLength: count, maxLength: count })
    const numbers = maybe(column(fc.option(coordinate)))
    return fc
      .record({
        t0: fc.integer({ min: RECEIVED - 8 * 86_400_000, max: RECEIVED }),
        t: column(fc.nat({ max: 86_400_000 })),
        types: fc.constant(types),
        type: maybe(column(fc.nat({ max: types.length - 1 }))),
        targets: fc.constant(['#buy', 'main > "a"']),
        target: maybe(column(fc.integer({ min: -1, max: 1 }))),
        seq: maybe(fc.nat({ max: 1_000 })),
        ...{ x: numbers, y: numbers, offsetX: numbers, offsetY: numbers },
        all: maybe(
          fc.record(
            { offsetX: coordinate, offsetY: coordinate, pointerId: fc.nat(), pointerType: name },
            { requiredKeys: [] },
          ),
        ),
        entries: maybe(datas(count)),
      })
      .map(({ entries, ...columns }) => {
        const data = entries && Object.fromEntries(Object.entries(entries).filter(([, one]) => one))
        return {
          given: { ...given, p: { v: 1, ...columns, data } },
          data: Object.values(data ?? {}),
        }
      })
  })

/** As the log has it: members that are undefined are not there. */
const logged = <T>(value: T): T => JSON.parse(JSON.stringify(value))

test('rows of random objects are those that the specification gives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(objects, { minLength: 1, maxLength: 30 }), async (batches) => {
      const records = logged(batches.map(({ given, data }, o) => record(given, o, data)))
      expect(await rowsOf(records)).toEqual(sorted(records.flatMap(plainRows)))
    }),
    RUNS,
  )
})

test('rows of random packed batches are those of the objects that they stand for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(packed, { minLength: 1, maxLength: 30 }), async (batches) => {
      const records = logged(batches.map(({ given, data }, o) => record(given, o, data)))
      const asObjects = records.map((each) => {
        return { ...each, e: unpacked(Object(each).p), p: null }
      })
      const rows = await rowsOf(records, { objects: false, packed: true })
      expect(rows).toEqual(sorted(records.flatMap(plainRows)))
      // Objects of a wild batch keep a second, whole copy of `data`; packed columns need none.
      const alike = (row: PlainRow) =>
        (records[Number(row.log_offset)]!.f & 2) === 0 ? row : { ...row, data: null }
      const objectRows: PlainRow[] = await rowsOf(asObjects, { objects: true, packed: false })
      expect(objectRows.map(alike)).toEqual((rows as PlainRow[]).map(alike))
    }),
    RUNS,
  )
})

test('both forms may lie in one range, and one that is not said to be there gives no rows', async () => {
  const [one] = fc.sample(objects, { numRuns: 1, seed: 7 })
  const [other] = fc.sample(packed, { numRuns: 1, seed: 7 })
  const records = logged([record(one!.given, 0, one!.data), record(other!.given, 1, other!.data)])
  expect(await rowsOf(records)).toEqual(sorted(records.flatMap(plainRows)))
  expect(await rowsOf(records, { objects: true, packed: false })).toEqual(plainRows(records[0]))
  expect(await rowsOf(records, { objects: false, packed: true })).toEqual(plainRows(records[1]))
})
