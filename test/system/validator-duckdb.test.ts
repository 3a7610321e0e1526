/**
 * What the collector accepts, the lake's engine reads: DuckDB's typed reader fails a whole file on one
 * event that it cannot read, so nothing that it refuses may get past the door. Times are compared too.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { parseTimestamp } from '@millrace/protocol'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeBatch } from '../../packages/pipeline/src/collector/decode.ts'
import { bodyText, eventText, NASTY_VALUES } from '../support/event-bodies.ts'

const COLUMNS = `{e: 'STRUCT(eventType VARCHAR, "timestamp" VARCHAR, path VARCHAR, browser VARCHAR,
  target VARCHAR, data JSON, eventId VARCHAR, visitorId VARCHAR, userId VARCHAR, sessionId VARCHAR,
  pageId VARCHAR, seq INTEGER,
  consent STRUCT(measure BOOLEAN, profile BOOLEAN, personalize BOOLEAN))[]'}`
const SEED = 20_191_115

let folder: string
let instance: DuckDBInstance
let connection: DuckDBConnection

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-validator-'))
  instance = await DuckDBInstance.create(':memory:')
  connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
})

afterAll(async () => {
  connection.closeSync()
  instance.closeSync()
  await rm(folder, { recursive: true, force: true })
})

const GOOD = '"eventType":"a","timestamp":"2019-11-15 18:05:00Z","path":"/"'
const strings = NASTY_VALUES.filter((value) => value.startsWith('"'))

/** Every nasty value alone in its body, so that one that is refused hides no other. */
const NASTY_BODIES = [
  ...NASTY_VALUES.flatMap((value) => [
    `[{${GOOD},"data":{"a":${value}}}]`,
    `[{${GOOD},"data":{"clientX":${value}}}]`,
    `[{${GOOD},"data":${value}}]`,
    `[{${GOOD},"seq":${value}}]`,
  ]),
  ...strings.map(
    (value) => `[{${GOOD},"target":${value},"visitorId":${value}},{${GOOD},"browser":${value}}]`,
  ),
  `[{${GOOD},"seq":null,"consent":{},"data":{}},{${GOOD},"consent":null,"data":null}]`,
  `[\n\t{${GOOD.replace('eventType', 'event\\u0054ype')}\r\n}\t]`,
  `[{${GOOD},"eventId":"x","eventId":"y"},{${GOOD},"data":{"clientX":1,"clientX":2}}]`,
]

interface Seen {
  readonly line: number
  readonly texts: readonly string[]
}

function acceptedOf(bodies: readonly string[]): Seen[] {
  return bodies.flatMap((body, line) => {
    const decoded = decodeBatch(Buffer.from(body))
    if (!decoded.ok || decoded.batch.eventCount === 0) return []
    return [{ line, texts: [decoded.batch.events.toString(), String(decoded.batch.eventCount)] }]
  })
}

test('DuckDB reads every accepted event, at the same instant', async () => {
  const bodies = [
    ...NASTY_BODIES,
    ...fc.sample(bodyText, { numRuns: 600, seed: SEED }),
    ...fc.sample(eventText, { numRuns: 800, seed: SEED }),
  ]
  const seen = acceptedOf(bodies)
  expect(seen.length).toBeGreaterThan(500)
  const path = join(folder, 'events.ndjson')
  await writeFile(path, seen.map(({ texts }) => `{"e":${texts[0]}}\n`).join(''))
  const reader = await connection.runAndReadAll(`
    WITH read AS (
      SELECT row_number() OVER () AS line, e
      FROM read_json('${path}', format = 'newline_delimited', columns = ${COLUMNS},
        maximum_object_size = 4194304)
    ), events AS (SELECT line, unnest(e) AS e, generate_subscripts(e, 1) AS place FROM read)
    SELECT e.eventType AS type, e.path AS path, coalesce(TRY_CAST(e."timestamp" AS BIGINT),
        epoch_ms(TRY_CAST(e."timestamp" AS TIMESTAMPTZ))) AS ms
    FROM events ORDER BY line, place`)
  const rows = reader.getRowObjects()
  const events = seen.flatMap(({ texts }) => JSON.parse(texts[0]!) as Record<string, unknown>[])
  expect(rows.length).toBe(seen.reduce((sum, { texts }) => sum + Number(texts[1]), 0))
  expect(rows.length).toBe(events.length)
  const forms = rows.map(({ type, path, ms }) => ({ type, path, ms: Number(ms) }))
  const expected = events.map((event) => ({
    type: event.eventType,
    path: event.path,
    ms: parseTimestamp(event.timestamp as string | number),
  }))
  expect(forms).toEqual(expected)
})

test('the reader that this guards does fail whole on what the collector refuses', async () => {
  const path = join(folder, 'bad.ndjson')
  for (const event of ['5', `{${GOOD},"path":"/b"}`, `{${GOOD},"data":{"a":"\\ud800"}}`]) {
    expect(decodeBatch(Buffer.from(`[${event}]`))).toMatchObject({ batch: { eventCount: 0 } })
    await writeFile(path, `{"e":[{${GOOD}},${event}]}\n`)
    const query = `SELECT e FROM read_json('${path}', format='newline_delimited', columns=${COLUMNS})`
    await expect(connection.runAndReadAll(query)).rejects.toThrow()
  }
})
