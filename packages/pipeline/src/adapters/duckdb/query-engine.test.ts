/** The engine with real processes: what they answer, what kills them, and that nobody else notices. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type BundledProgram, bundleProgram } from '../../../../../test/support/bundle-program.ts'
import type { QueryAnswer, QueryJob } from '../../query/query-engine.ts'
import { DuckdbQueryEngine } from './query-engine.ts'

let worker: BundledProgram
let engine: DuckdbQueryEngine
const folder = mkdtempSync(join(tmpdir(), 'millrace-engine-'))
const MIB = 1_048_576

beforeAll(() => {
  worker = bundleProgram('packages/pipeline/src/entrypoints/query-worker.ts')
  engine = new DuckdbQueryEngine(worker.path, {
    rssBytesMax: 500 * MIB,
    memoryLimitMb: 128,
    killGraceMs: 300,
  })
})
afterAll(async () => {
  await engine.close()
  worker.remove()
  rmSync(folder, { recursive: true, force: true })
})

const none = { files: [], fromOffset: 0 }
const jobOf = (sql: string, more: Partial<QueryJob> = {}): QueryJob => ({
  tenantNo: 1,
  sql,
  parameters: [],
  format: 'json',
  maxRows: 1_000,
  timeoutMs: 5_000,
  tables: { events: none, identities: none, rejections: none },
  tail: undefined,
  ...more,
})
async function answer(sql: string, more: Partial<QueryJob> = {}): Promise<QueryAnswer> {
  const outcome = await engine.run(jobOf(sql, more))
  if ('problem' in outcome) throw new Error(`${outcome.problem.code}: ${outcome.problem.detail}`)
  return outcome
}
const textOf = async (sql: string, more: Partial<QueryJob> = {}) =>
  Buffer.from((await answer(sql, more)).body).toString()
const rowsOf = async (sql: string, more: Partial<QueryJob> = {}) =>
  JSON.parse(await textOf(sql, more))
async function problemOf(sql: string, more: Partial<QueryJob> = {}) {
  const outcome = await engine.run(jobOf(sql, more))
  if (!('problem' in outcome)) throw new Error('it was answered')
  return outcome.problem
}

describe('values', () => {
  test.each([
    ['1::BIGINT', 1],
    ['9007199254740993', '9007199254740993'],
    ['170141183460469231731687303715884105727', '170141183460469231731687303715884105727'],
    ['1.50::DECIMAL(10, 2)', 1.5],
    ['12345678901234567.89::DECIMAL(38, 2)', '12345678901234567.89'],
    ["'nan'::DOUBLE", 'NaN'],
    ["'-inf'::DOUBLE", '-Infinity'],
    ['0.1::DOUBLE', 0.1],
    ["TIMESTAMPTZ '2026-11-23 12:00:00.123+02'", '2026-11-23T10:00:00.123Z'],
    ["TIMESTAMP '2026-11-23 10:00:00.123456'", '2026-11-23T10:00:00.123456Z'],
    ["TIMESTAMP '1969-12-31 23:59:59.999999'", '1969-12-31T23:59:59.999999Z'],
    ["TIMESTAMP_S '2026-11-23 10:00:00'", '2026-11-23T10:00:00.000Z'],
    ["TIMESTAMP_NS '2026-11-23 10:00:00.123456789'", '2026-11-23T10:00:00.123456789Z'],
    ["'infinity'::TIMESTAMP", 'infinity'],
    ["DATE '2026-11-23'", '2026-11-23'],
    ["TIME '10:00:00'", '10:00:00'],
    ['INTERVAL 3 DAY', '3 days'],
    ['[1, NULL, 2]', [1, null, 2]],
    ["{'a': 1, 'b': [{'c': true}]}", { a: 1, b: [{ c: true }] }],
    ["map {'a': 1}", { a: 1 }],
    ["map {1: 'x'}", { 1: 'x' }],
    ["'\\x00\\xFF'::BLOB", 'AP8='],
    ['\'{"a": 1}\'::JSON', '{"a": 1}'],
    ["'a'::ENUM('a', 'b')", 'a'],
    ['NULL', null],
  ])('%s is %j', async (sql, value) => {
    expect(await rowsOf(`SELECT ${sql}`)).toEqual([[value]])
  })

  test('columns are named and typed, two of one name are two', async () => {
    const { columns } = await answer(
      "SELECT 1 AS a, 'x' AS a, now() AS t, '1'::JSON AS j, [1.5] AS l",
    )
    expect(columns).toEqual([
      { name: 'a', type: 'INTEGER' },
      { name: 'a', type: 'VARCHAR' },
      { name: 't', type: 'TIMESTAMP WITH TIME ZONE' },
      { name: 'j', type: 'JSON' },
      { name: 'l', type: 'DECIMAL(2,1)[]' },
    ])
  })

  test('CSV doubles quotes, tells null from empty text, and disarms formulas but not numbers', async () => {
    const sql = `SELECT 'a"b' AS "x,y", NULL AS n, '' AS e, '=1+1' AS f, '-5' AS m, '-x' AS t, -1.5 AS d, '@a' AS at, chr(9) || 'x' AS tab, [1] AS l, e'a\\nb' AS nl`
    expect(await textOf(sql, { format: 'csv' })).toBe(
      '"x,y",n,e,f,m,t,d,at,tab,l,nl\r\n"a""b",,"",\'=1+1,-5,\'-x,-1.5,\'@a,\'\tx,[1],"a\nb"\r\n',
    )
  })
})

describe('parameters', () => {
  test('stand for ? in order and for $name by name', async () => {
    expect(await rowsOf('SELECT ?, ?, ?, ?', { parameters: ['a', 1, true, null] })).toEqual([
      ['a', 1, true, null],
    ])
    expect(await rowsOf('SELECT $b + $a', { parameters: { a: 1, b: 9_000_000_000 } })).toEqual([
      [9_000_000_001],
    ])
    expect(
      await rowsOf(
        "SELECT count(*) FROM range(10) r(i) WHERE TIMESTAMPTZ '2026-01-01' + to_days(i::INTEGER) >= ?",
        { parameters: ['2026-01-05'] },
      ),
    ).toEqual([[6]])
  })

  test('are never SQL', async () => {
    expect(await rowsOf('SELECT ?', { parameters: ["'; DROP VIEW events; --"] })).toEqual([
      ["'; DROP VIEW events; --"],
    ])
  })

  test('one too few or too many is said', async () => {
    expect((await problemOf('SELECT ?')).detail).toContain('has a parameter 1, none was given')
    expect((await problemOf('SELECT 1', { parameters: { x: 1 } })).detail).toContain(
      'no parameter x',
    )
  })
})

describe('caps', () => {
  test('maxRows rows are all there are or truncated', async () => {
    expect((await answer('FROM range(10)', { maxRows: 10 })).truncated).toBe(false)
    const cut = await answer('FROM range(1_000_000_000)', { maxRows: 10 })
    expect([cut.truncated, cut.rowCount]).toEqual([true, 10])
    const none = await answer('FROM events')
    expect([none.truncated, none.rowCount, none.columns.length]).toEqual([false, 0, 47])
    expect(Buffer.from(none.body).toString()).toBe('[]')
  })

  test('an answer ends at 8 MiB', async () => {
    const cut = await answer("SELECT repeat('x', 100_000) FROM range(1000)", { maxRows: 1_000 })
    expect(cut.truncated).toBe(true)
    expect(cut.body.byteLength).toBeLessThan(8 * MIB)
    expect(cut.rowCount).toBe(83)
  })
})

describe('errors', () => {
  test('what does not parse or bind is invalid_sql in the words of the engine', async () => {
    expect(await problemOf('SELEC 1')).toMatchObject({ code: 'invalid_sql', status: 400 })
    const bound = await problemOf('SELECT event_typ FROM events')
    expect(bound.code).toBe('invalid_sql')
    expect(bound.detail).toContain('event_type')
    expect((await problemOf("SELECT 'a'::INTEGER")).code).toBe('invalid_sql')
    expect((await problemOf("SELECT error('mine')")).detail).toContain('mine')
  })

  test('no message holds the path of a file', async () => {
    const path = join(folder, 'p0.parquet')
    const tables = { events: { files: [path], fromOffset: 0 }, identities: none, rejections: none }
    await expect(engine.run(jobOf('FROM events', { tables }))).rejects.toThrow(
      'a query process failed',
    )
    const { withoutPaths } = await import('./query-execute.ts')
    expect(withoutPaths(`IO Error: "${path}" in ${folder}/x and /opt/a/b.parquet`, [path])).toBe(
      'IO Error: "[file]" in [file]/x and [file]',
    )
    expect(withoutPaths("Could not convert string '/shop/cart' to INT32", [path])).toContain(
      '/shop/cart',
    )
  })

  test('the engine limits a statement to its memory', async () => {
    const failed = await problemOf('SELECT list(i) FROM range(100_000_000) r(i)')
    expect(failed).toMatchObject({ code: 'query_failed', status: 422 })
    expect(failed.detail).toContain('Out of Memory')
  })
})

describe('bombs', () => {
  const nested = `SELECT ${'list_transform([1], lambda x: '.repeat(70)}x${')'.repeat(70)}`
  test.each([
    [
      'a cross join',
      'SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b',
      'query_timeout',
    ],
    [
      'an endless recursion',
      'WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM t) SELECT count(*) FROM t',
      'query_timeout',
    ],
    ['a giant text', "SELECT length(repeat('x', 4_000_000_000))", 'query_'],
    ['a giant padding', "SELECT length(lpad('x', 2_147_483_647, 'y'))", 'query_'],
    ['a giant number', "SELECT length(printf('%2000000000d', 1))", 'query_'],
    [
      'a billion distinct values',
      'SELECT count(DISTINCT i) FROM range(1_000_000_000) r(i)',
      'query_',
    ],
    [
      'a billion values in one text',
      "SELECT string_agg(i::VARCHAR, ',') FROM range(1_000_000_000) r(i)",
      'query_',
    ],
    ['70 nested lambdas', nested, 'query_'],
  ])('%s ends within its time and the grace', async (_, sql, code) => {
    const startedMs = performance.now()
    const failed = await problemOf(sql, { timeoutMs: 200 })
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(failed.code).toContain(code)
    expect(failed.status).toBe(422)
    expect(await rowsOf('SELECT 1')).toEqual([[1]])
  })

  test('a process above its memory is killed at once, long before the deadline', async () => {
    const startedMs = performance.now()
    const failed = await problemOf("SELECT length(repeat('x', 4_000_000_000))", {
      timeoutMs: 60_000,
    })
    expect(failed).toMatchObject({ code: 'query_failed' })
    expect(failed.detail).toContain('500 MiB')
    expect(performance.now() - startedMs).toBeLessThan(30_000)
  })

  test('the server keeps its memory, and another tenant its answers', async () => {
    const before = process.memoryUsage.rss()
    const bombs = Array.from({ length: 3 }, () =>
      problemOf('SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b', { timeoutMs: 200 }),
    )
    const other = await rowsOf('SELECT 42', { tenantNo: 2 })
    expect(other).toEqual([[42]])
    for (const failed of await Promise.all(bombs)) expect(failed.code).toBe('query_timeout')
    expect(process.memoryUsage.rss() - before).toBeLessThan(50 * MIB)
  })

  test('an aborted request stops its query and frees its process', async () => {
    const gaveUp = new AbortController()
    const running = engine.run(
      jobOf('SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b', { timeoutMs: 60_000 }),
      gaveUp.signal,
    )
    setTimeout(() => gaveUp.abort(), 100)
    const startedMs = performance.now()
    expect(await running).toMatchObject({ problem: { code: 'query_failed' } })
    expect(performance.now() - startedMs).toBeLessThan(10_000)
  })
})

describe('processes', () => {
  test('nothing of the environment reaches them', async () => {
    await rowsOf('SELECT 1')
    const [processId] = engine.processIds()
    const environment = readFileSync(`/proc/${processId}/environ`, 'latin1')
      .split('\0')
      .filter(Boolean)
    const names = environment.map((entry) => entry.split('=')[0])
    expect(
      names.filter(
        (name) => !['TZ', 'NODE_CHANNEL_FD', 'NODE_CHANNEL_SERIALIZATION_MODE'].includes(name!),
      ),
    ).toEqual([])
  })

  test('a killed one is replaced', async () => {
    await rowsOf('SELECT 1')
    for (const processId of engine.processIds()) process.kill(processId, 'SIGKILL')
    const first = await engine.run(jobOf('SELECT 1'))
    expect('problem' in first ? first.problem.code : 'answered').toMatch(/query_failed|answered/)
    expect(await rowsOf('SELECT 2')).toEqual([[2]])
  })

  test('they end when idle, and start again when asked', async () => {
    const brief = new DuckdbQueryEngine(worker.path, { idleMs: 50 })
    await brief.run(jobOf('SELECT 1'))
    await expect.poll(() => brief.processIds(), { timeout: 3_000 }).toEqual([])
    expect(await brief.run(jobOf('SELECT 1'))).toMatchObject({ rowCount: 1 })
    await brief.close()
    expect(await brief.run(jobOf('SELECT 1'))).toMatchObject({ problem: { code: 'unavailable' } })
  })

  test('the queue is bounded, for all and for each tenant', async () => {
    const small = new DuckdbQueryEngine(worker.path, {
      processCount: 1,
      queueLengthMax: 3,
      queueLengthPerTenantMax: 2,
    })
    const slow = () =>
      small.run(
        jobOf('SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b', { timeoutMs: 200 }),
      )
    const all = [slow(), slow(), slow()]
    expect(await slow()).toMatchObject({
      problem: { code: 'too_many_requests', detail: '2 queries of this tenant wait already' },
    })
    const turn = small.run(jobOf('SELECT 1', { tenantNo: 2 }))
    expect(await small.run(jobOf('SELECT 1', { tenantNo: 3 }))).toMatchObject({
      problem: { code: 'too_many_requests' },
    })
    expect(await turn).toMatchObject({ rowCount: 1 })
    await Promise.all(all)
    await small.close()
  })

  test('tenants take turns', async () => {
    const one = new DuckdbQueryEngine(worker.path, { processCount: 1 })
    const order: number[] = []
    const ask = (tenantNo: number) =>
      one.run(jobOf('SELECT 1', { tenantNo })).then(() => order.push(tenantNo))
    await Promise.all([1, 1, 1, 1, 2, 2, 3].map(ask))
    expect(order).toEqual([1, 2, 3, 1, 2, 1, 1])
    await one.close()
  })

  test("a tenant's slow statements leave room for another's", async () => {
    const engine = new DuckdbQueryEngine(worker.path, { processCount: 2, runningPerTenantMax: 1 })
    const sql = 'SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b'
    let slowDone = 0
    const slow = [1, 2].map(() =>
      engine.run(jobOf(sql, { tenantNo: 1, timeoutMs: 3_000 })).then(() => slowDone++),
    )
    expect(await engine.run(jobOf('SELECT 1', { tenantNo: 2 }))).toMatchObject({ rowCount: 1 })
    expect(slowDone).toBe(0)
    await engine.close()
    await Promise.allSettled(slow)
  })

  test('a query that finds no process in time is told so', async () => {
    const small = new DuckdbQueryEngine(worker.path, { processCount: 1, queueWaitMs: 100 })
    const slow = small.run(
      jobOf('SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b', { timeoutMs: 500 }),
    )
    expect(await small.run(jobOf('SELECT 1'))).toMatchObject({
      problem: { code: 'too_many_requests' },
    })
    await slow
    await small.close()
  })
})
