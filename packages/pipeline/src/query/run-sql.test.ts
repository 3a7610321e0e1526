/** From an acknowledged batch to its row in an HTTP answer, with real processes in between. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { problem } from '@millrace/protocol'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type BundledProgram, bundleProgram } from '../../../../test/support/bundle-program.ts'
import { DuckdbQueryEngine } from '../adapters/duckdb/query-engine.ts'
import { systemClock, systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { rowsFromLog } from '../lake/rows-from-log.ts'
import { TABLES } from '../lake/tables.ts'
import { entryOf } from '../log/event-log.contract.ts'
import { type BatchEntry, RECORD_FLAGS } from '../log/event-log.ts'
import { type MemoryLog, openMemoryLog } from '../log/memory-log.ts'
import type { TableName } from './query-engine.ts'
import { queryRoutes } from './routes.ts'
import { type LakeSnapshot, type RunSql, sqlRunner } from './run-sql.ts'
import { TAIL_LIMITS, Tails } from './tail.ts'

const TENANTS: Record<string, number> = { acme: 1, globex: 2 }
let worker: BundledProgram
let engine: DuckdbQueryEngine
let folder: string
let log: MemoryLog
let tails: Tails
let run: RunSql
let lake: Map<string, LakeSnapshot>
/** Runs between the snapshots' reading and the tail's. */
let meanwhile: () => Promise<void>

beforeAll(() => {
  worker = bundleProgram('packages/pipeline/src/entrypoints/query-worker.ts')
  engine = new DuckdbQueryEngine(worker.path)
})
afterAll(async () => {
  await engine.close()
  worker.remove()
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-query-'))
  mkdirSync(join(folder, 'lake'))
  log = openMemoryLog({ clock: systemClock, random: systemRandom })
  tails = new Tails(join(folder, 'tails'), nodeFiles, log)
  lake = new Map()
  meanwhile = async () => {}
  run = sqlRunner({
    engine,
    tails,
    log,
    tenants: {
      sources: (no) => [
        { sourceNo: no, tenantNo: no, name: `shop-${no}`, writeKey: '', origins: [], createdMs: 0 },
      ],
    },
    lakeSnapshot: async (tenantId, table) => {
      const snapshot = lake.get(`${tenantId}/${table}`) ?? { files: [] }
      await meanwhile()
      return snapshot
    },
    elapsed: () => performance.now(),
  })
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const append = (batchId: string, count = 1, tenantId = 'acme', more: Partial<BatchEntry> = {}) => {
  const no = TENANTS[tenantId]!
  return log.append(
    entryOf(batchId, count, { tenantNo: no, sourceNo: no, flags: RECORD_FLAGS.mixed, ...more }),
  )
}

/** What delivery does: rows from the table's progress to the end become a file, and progress moves. */
async function deliver(
  tenantId: string,
  only: readonly TableName[] = TABLES.map(({ name }) => name),
) {
  const endOffset = log.end()
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  await connection.run("SET TimeZone = 'UTC'")
  for (const table of only) {
    const before = lake.get(`${tenantId}/${table}`)
    const fromOffset = before?.progress?.nextOffset ?? 0
    const range = await log.read(TENANTS[tenantId]!, fromOffset, 1 << 30)
    const files = [...(before?.files ?? [])]
    if (range !== undefined) {
      const lines = join(folder, 'lines.ndjson')
      writeFileSync(lines, range.lines)
      const sources = [{ sourceNo: TENANTS[tenantId]!, name: `shop-${TENANTS[tenantId]}` }]
      const rows = rowsFromLog({
        table,
        lines: `'${lines}'`,
        sources,
        logId: log.logId,
        fromOffset,
      })
      const localPath = join(folder, 'lake', `${tenantId}-${table}-${files.length}.parquet`)
      await connection.run(`COPY (${rows}) TO '${localPath}' (FORMAT parquet)`)
      files.push({ localPath })
    }
    lake.set(`${tenantId}/${table}`, {
      files,
      progress: { logId: log.logId, nextOffset: endOffset },
    })
  }
  connection.closeSync()
}

async function ask(sql: string, tenantId = 'acme', more: { maxRows?: number } = {}) {
  const tenant = { tenantNo: TENANTS[tenantId]!, tenantId }
  const outcome = await run({
    tenant,
    sql,
    parameters: [],
    format: 'json',
    maxRows: 1_000,
    timeoutMs: 10_000,
    ...more,
  })
  if ('problem' in outcome) throw new Error(`${outcome.problem.code}: ${outcome.problem.detail}`)
  return { rows: JSON.parse(Buffer.from(outcome.body).toString()), ...outcome }
}
const count = async (tenantId = 'acme') =>
  (await ask('SELECT count(*), count(DISTINCT (batch_id, event_index)) FROM events', tenantId))
    .rows[0]

const identify = (visitorId: string, userId: string, atMs: number): Partial<BatchEntry> => ({
  defaults: JSON.stringify({ visitorId }),
  events: Buffer.from(
    JSON.stringify([
      { eventType: 'identify', timestamp: atMs, path: '/', userId, data: { plan: 'pro' } },
    ]),
  ),
  eventCount: 1,
})
const rejected: Partial<BatchEntry> = {
  packed: null,
  rejections: [{ index: 1, code: 'bad_timestamp', detail: 'no', pointer: '/timestamp', raw: '{}' }],
}

describe('consistency', () => {
  test('an acknowledged event is in the next answer, delivered or not, once', async () => {
    expect(await count()).toEqual([0, 0])
    await append('a', 3)
    expect(await count()).toEqual([3, 3])
    await deliver('acme')
    expect(await count()).toEqual([3, 3])
    await append('b', 2)
    expect(await count()).toEqual([5, 5])
    const { stats } = await ask('FROM events')
    expect(stats).toMatchObject({ rowCount: 5, tailRecords: 1, lakeFiles: 3 })
    expect(stats.tailBytes).toBeGreaterThan(100)
    await deliver('acme')
    expect(await count()).toEqual([5, 5])
  })

  test.each([1, 2, 3])(
    'delivery after snapshot %i was read neither doubles nor hides a row',
    async (after) => {
      const sql =
        'SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM rejections), (SELECT count(*) FROM identities)'
      const identified = identify('v1', 'ann', 1_700_000_000_000)
      await append('a', 1, 'acme', { ...identified, ...rejected })
      await deliver('acme')
      await append('b', 1, 'acme', { ...identified, ...rejected })
      let readCount = 0
      meanwhile = async () => void (++readCount === after && (await deliver('acme')))
      expect((await ask(sql)).rows).toEqual([[2, 2, 2]])
      readCount = 0
      meanwhile = async () => {
        if (++readCount !== after) return
        await append('c', 1, 'acme', { ...identified, ...rejected })
        await deliver('acme')
      }
      expect((await ask(sql)).rows).toEqual([[3, 3, 3]])
    },
  )

  test('tables that were committed before a crash are read on from their own progress', async () => {
    await append('a', 2, 'acme', rejected)
    await append('i1', 1, 'acme', identify('v1', 'ann', 1_700_000_000_000))
    await deliver('acme', ['rejections'])
    await append('b', 1, 'acme', rejected)
    await deliver('acme', ['rejections', 'identities'])
    await append('i2', 1, 'acme', identify('v1', 'ben', 1_700_000_100_000))
    await append('i3', 1, 'acme', identify('v2', 'cid', 1_700_000_100_000))
    const sql =
      'SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM rejections), (SELECT count(*) FROM identities)'
    expect((await ask(sql)).rows).toEqual([[6, 2, 3]])
    await deliver('acme')
    expect((await ask(sql)).rows).toEqual([[6, 2, 3]])
    const people = await ask('SELECT visitor_id, user_id, traits FROM people ORDER BY 1')
    expect(people.rows).toEqual([
      ['v1', 'ben', '{"plan":"pro"}'],
      ['v2', 'cid', '{"plan":"pro"}'],
    ])
  })

  test('a table without rows is never committed, and does not make the tail longer', async () => {
    await append('a', 3)
    await deliver('acme', ['events'])
    expect((await ask('FROM rejections')).stats).toMatchObject({ tailRecords: 0, tailBytes: 0 })
    await append('b', 1, 'acme', rejected)
    const { rows, stats } = await ask('SELECT count(*) FROM rejections')
    expect([rows, stats.tailRecords]).toEqual([[[1]], 1])
  })

  test('progress under another log counts for nothing', async () => {
    await append('a', 3)
    const progress = { logId: 'f'.repeat(32), nextOffset: 100 }
    for (const { name } of TABLES) lake.set(`acme/${name}`, { files: [], progress })
    expect(await count()).toEqual([3, 3])
  })

  test('a row reads the same before and after its delivery', async () => {
    await append('a', 2)
    const before = (await ask('FROM events ORDER BY event_index')).rows
    await deliver('acme')
    expect((await ask('FROM events ORDER BY event_index')).rows).toEqual(before)
    expect((await ask('SELECT source, path, data.i::INTEGER FROM events ORDER BY 3')).rows).toEqual(
      [
        ['shop-1', '/é', 0],
        ['shop-1', '/é', 1],
      ],
    )
  })
})

test('every statement of docs/sql.md runs', async () => {
  await append('a', 3)
  const page = readFileSync(new URL('../../../../docs/sql.md', import.meta.url), 'utf8')
  const statements = [...page.matchAll(/```sql\n([^`]*)```/g)].map(([, sql]) => sql!)
  expect(statements.length).toBeGreaterThan(0)
  for (const sql of statements) await ask(sql)
  const others = `SELECT t.x, data->>'$.i', (data->>'$.i')::DOUBLE, data.i, approx_quantile(t.x, 0.9),
    array_agg(path ORDER BY seq), now() - INTERVAL 7 DAY, to_timestamp(1), list_filter([1, 2], lambda x: x > 1),
    event_time AT TIME ZONE 'Europe/Berlin' FROM events CROSS JOIN UNNEST([1, 2]) AS t(x) GROUP BY ALL`
  expect((await ask(others)).rows.length).toBe(6)
  for (const sql of [
    'DESCRIBE events',
    'SUMMARIZE events',
    'SHOW TABLES',
    "PIVOT events ON event_type IN ('click', 'page') USING count(*) GROUP BY path",
  ]) {
    expect((await ask(sql)).rows.length).toBeGreaterThan(0)
  }
})

describe('tenants', () => {
  test('see their own rows, in the lake and in the tail', async () => {
    for (const tenantId of ['acme', 'globex']) {
      await append('a', tenantId === 'acme' ? 2 : 5, tenantId)
      await deliver(tenantId)
      await append('b', 1, tenantId)
    }
    const sql = 'SELECT source, count(*) FROM events GROUP BY ALL'
    const answers = await Promise.all([ask(sql), ask(sql, 'globex'), ask(sql), ask(sql, 'globex')])
    expect(answers.map(({ rows }) => rows)).toEqual([
      [['shop-1', 3]],
      [['shop-2', 6]],
      [['shop-1', 3]],
      [['shop-2', 6]],
    ])
  })

  test('cannot name a file of another', async () => {
    await append('a', 1, 'globex')
    await deliver('globex')
    const [file] = readdirSync(join(folder, 'lake')).filter((name) =>
      name.startsWith('globex-events'),
    )
    await expect(ask(`FROM '${join(folder, 'lake', file!)}'`)).rejects.toThrow('sql_refused')
  })
})

test('a tail longer than a query may read is unavailable, with the figures', async () => {
  await append('a', 50)
  const short = new Tails(join(folder, 'short'), nodeFiles, log, {
    ...TAIL_LIMITS,
    tenantBytesMax: 1_000,
  })
  const outcome = await sqlRunner({
    engine,
    tails: short,
    log,
    tenants: { sources: () => [] },
    lakeSnapshot: async () => ({ files: [] }),
    elapsed: () => 0,
  })({
    tenant: { tenantNo: 1, tenantId: 'acme' },
    sql: 'SELECT 1',
    parameters: [],
    format: 'json',
    maxRows: 1,
    timeoutMs: 100,
  })
  expect(outcome).toMatchObject({ problem: { code: 'unavailable', status: 503 } })
})

test('a question waits, within its time, for delivery that is behind, and then has every event', async () => {
  await append('a', 50)
  const short = new Tails(join(folder, 'short'), nodeFiles, log, {
    ...TAIL_LIMITS,
    tenantBytesMax: 1_000,
  })
  let looks = 0
  const outcome = await sqlRunner({
    engine,
    tails: short,
    log,
    tenants: { sources: () => [] },
    lakeSnapshot: async (tenantId, table) => {
      if (table === 'events' && ++looks === 3) await deliver(tenantId)
      return lake.get(`${tenantId}/${table}`) ?? { files: [] }
    },
    elapsed: () => performance.now(),
  })({
    tenant: { tenantNo: 1, tenantId: 'acme' },
    sql: 'SELECT count(*) FROM events',
    parameters: [],
    format: 'json',
    maxRows: 1,
    timeoutMs: 20_000,
  })
  if ('problem' in outcome) throw new Error(outcome.problem.detail)
  expect(Buffer.from(outcome.body).toString()).toBe('[[50]]')
  expect(looks).toBe(3)
})

describe('POST /v1/query', () => {
  const faults: unknown[] = []
  const post = (body: unknown, headers: Record<string, string> = {}) => {
    const app = queryRoutes({
      run,
      authorize: async (request, scope) => {
        expect(scope).toBe('sql:read')
        const tenantId = request.headers.get('authorization') ?? ''
        const tenantNo = TENANTS[tenantId]
        return tenantNo === undefined
          ? problem('unauthorized', 'no token')
          : { tenant: { tenantNo, tenantId } }
      },
      failed: (error) => void faults.push(error),
    })
    return app.request('/v1/query', {
      method: 'POST',
      headers: { authorization: 'acme', 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  }

  test('answers JSON', async () => {
    await append('a', 2)
    const response = await post({
      sql: 'SELECT event_type, event_time FROM events WHERE event_index >= ?',
      parameters: [1],
    })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({
      columns: [
        { name: 'event_type', type: 'VARCHAR' },
        { name: 'event_time', type: 'TIMESTAMP WITH TIME ZONE' },
      ],
      rows: [['click', expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)]],
      truncated: false,
      stats: {
        elapsedMs: expect.any(Number),
        rowCount: 1,
        lakeFiles: 0,
        tailRecords: 1,
        tailBytes: expect.any(Number),
      },
    })
  })

  test('answers CSV as a file to download', async () => {
    const response = await post(
      { sql: 'SELECT i FROM range(5) r(i)', maxRows: 2 },
      { accept: 'text/csv' },
    )
    expect(response.headers.get('content-type')).toContain('text/csv')
    expect(response.headers.get('content-disposition')).toContain('attachment')
    expect(response.headers.get('x-truncated')).toBe('true')
    expect(await response.text()).toBe('i\r\n0\r\n1\r\n')
  })

  test.each([
    ['no credential', { sql: 'SELECT 1' }, { authorization: '' }, 401, 'unauthorized'],
    ['another format', { sql: 'SELECT 1' }, { accept: 'text/html' }, 406, 'not_acceptable'],
    ['CSV refused by q=0', { sql: 'SELECT 1' }, { accept: 'text/csv;q=0' }, 406, 'not_acceptable'],
    [
      'a form',
      { sql: 'SELECT 1' },
      { 'content-type': 'text/plain' },
      415,
      'unsupported_media_type',
    ],
    ['no JSON', '{sql', {}, 400, 'malformed_json'],
    ['no sql', {}, {}, 400, 'invalid_request'],
    ['an unknown member', { sql: 'SELECT 1', tenantId: 'globex' }, {}, 400, 'invalid_request'],
    ['too many rows asked', { sql: 'SELECT 1', maxRows: 10_001 }, {}, 400, 'invalid_request'],
    ['too much time asked', { sql: 'SELECT 1', timeoutMs: 60_001 }, {}, 400, 'invalid_request'],
    [
      'a parameter that is an object',
      { sql: 'SELECT ?', parameters: [{}] },
      {},
      400,
      'invalid_request',
    ],
    ['SQL beyond its length', { sql: ' '.repeat(65_537) }, {}, 400, 'invalid_request'],
    ['a body beyond its length', { sql: ' '.repeat(1_100_000) }, {}, 413, 'body_too_large'],
    ['a write', { sql: 'DROP VIEW events' }, {}, 400, 'sql_refused'],
    ['a mistake', { sql: 'SELEC 1' }, {}, 400, 'invalid_sql'],
  ])('refuses %s', async (_, body, headers, status, code) => {
    const response = await post(body, headers as Record<string, string>)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({ code, status })
  })

  test('a fault of ours is 500 without its words, which go to the log', async () => {
    lake.set('acme/events', { files: [{ localPath: join(folder, 'gone.parquet') }] })
    const response = await post({ sql: 'FROM events' })
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('gone')
    expect(String(faults)).toContain('gone')
  })
})
