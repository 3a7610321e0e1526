/**
 * Packed columns that the collector keeps are read by the lake's engine, with the values that they
 * mean: its typed reader dies whole on one number of the wrong kind, so nothing that it refuses may
 * get past the door.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { type Packed, unpackEvents } from '@millrace/protocol'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeBatch } from '../../packages/pipeline/src/collector/decode.ts'
import { NASTY_VALUES } from '../support/event-bodies.ts'
import { packedText } from '../support/packed-bodies.ts'

const COLUMNS = `{p: 'STRUCT(v INTEGER, t0 BIGINT, types VARCHAR[], targets VARCHAR[], t INTEGER[],
  "type" INTEGER[], target INTEGER[], seq INTEGER, x DOUBLE[], y DOUBLE[], "offsetX" DOUBLE[],
  "offsetY" DOUBLE[], "all" STRUCT("offsetX" DOUBLE, "offsetY" DOUBLE, "pointerId" INTEGER,
  "pointerType" VARCHAR), data JSON)'}`
const SEED = 20_261_123

let folder: string
let instance: DuckDBInstance
let connection: DuckDBConnection

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-packed-'))
  instance = await DuckDBInstance.create(':memory:')
  connection = await instance.connect()
})

afterAll(async () => {
  connection.closeSync()
  instance.closeSync()
  await rm(folder, { recursive: true, force: true })
})

const GOOD = '{"v":1,"t0":1574000000000,"types":["a"],"t":[0,5]'
const MEMBERS = [
  't0',
  'seq',
  'types',
  'targets',
  't',
  'type',
  'target',
  'x',
  'offsetY',
  'all',
  'data',
]
/** Each member with each value that readers disagree on, alone in its batch. */
const NASTY = NASTY_VALUES.flatMap((value) => [
  ...MEMBERS.filter((name) => !GOOD.includes(`"${name}":`)).flatMap((name) => [
    `${GOOD},"${name}":${value}}`,
    `${GOOD},"${name}":[${value},${value}]}`,
  ]),
  ...['offsetX', 'pointerId', 'pointerType'].map((name) => `${GOOD},"all":{"${name}":${value}}}`),
  `${GOOD},"data":{"1":${value}}}`,
  `${GOOD},"data":{"0":{"a":${value}},"1":{"clientX":${value}}}}`,
  GOOD.replace('"a"', value.startsWith('"') ? value : '"a"').concat('}'),
  GOOD.replace('[0,5]', `[0,${value}]`).concat('}'),
  GOOD.replace('1574000000000', value).concat('}'),
])

/** As the collector keeps them; what it refuses or unpacks is none of this test's business. */
function keptOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => {
    const decoded = decodeBatch(Buffer.from(`{"path":"/","packed":${text}}`))
    return decoded.ok && decoded.batch.packed !== null ? [decoded.batch.packed.toString()] : []
  })
}

const sum = (axis: string) =>
  `list_transform(range(1, len(p.t) + 1), place -> p.${axis}[place] +
    CASE WHEN p."offset${axis.toUpperCase()}" IS NULL THEN p."all"."offset${axis.toUpperCase()}"
      ELSE p."offset${axis.toUpperCase()}"[place] END)`

test('DuckDB reads all columns that are kept, as the values they mean', async () => {
  const kept = keptOf([...NASTY, ...fc.sample(packedText, { numRuns: 2_000, seed: SEED })])
  expect(kept.length).toBeGreaterThan(500)
  const path = join(folder, 'packed.ndjson')
  await writeFile(path, kept.map((packed) => `{"p":${packed}}\n`).join(''))
  const reader = await connection.runAndReadAll(`
    SELECT p, p.data::VARCHAR AS data, ${sum('x')} AS "pageX", ${sum('y')} AS "pageY"
    FROM read_json('${path}', format = 'newline_delimited', columns = ${COLUMNS},
      maximum_object_size = 4194304)`)
  const rows = reader.getRowObjectsJS() as Record<string, unknown>[]
  expect(rows.length).toBe(kept.length)
  for (const [line, { p, data, pageX, pageY }] of rows.entries()) {
    const { data: _, ...columns } = p as Record<string, unknown>
    const value = JSON.parse(kept[line]!) as Packed
    const { data: entries, ...expected } = value
    expect(plain(columns), kept[line]).toEqual(plain(expected))
    // As text: the engine's JSON has no -0.
    const read = data === null ? undefined : JSON.stringify(JSON.parse(data as string))
    expect(read).toBe(JSON.stringify(entries))
    const events = unpackEvents({ ...value, data: undefined } as unknown as Packed)
    expect(plain({ pageX, pageY })).toEqual(
      plain({
        pageX: events.map((event) => (event.data as { pageX?: number })?.pageX ?? null),
        pageY: events.map((event) => (event.data as { pageY?: number })?.pageY ?? null),
      }),
    )
  }
})

/** Members that are null or absent are the same; 64-bit numbers are small enough here. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, one) =>
      one === null && !Array.isArray(value)
        ? undefined
        : typeof one === 'bigint'
          ? Number(one)
          : one,
    ),
    (_, one) => one ?? undefined,
  )
}

test('the reader that this guards does fail whole on what the collector refuses', async () => {
  const path = join(folder, 'bad.ndjson')
  for (const text of [
    `${GOOD},"t":[1,2]}`,
    `${GOOD},"x":["a",1]}`,
    `${GOOD},"data":{"1":{"a":"\\ud800"}}}`,
    `${GOOD},"seq":2147483648}`,
  ]) {
    expect(keptOf([text])).toEqual([])
    await writeFile(path, `{"p":${GOOD}}}\n{"p":${text}}\n`)
    const query = `SELECT p FROM read_json('${path}', format='newline_delimited', columns=${COLUMNS})`
    await expect(connection.runAndReadAll(query), text).rejects.toThrow()
  }
})
