import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { DATA_COLUMNS, parseTimestamp } from '@millrace/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sqlType } from './data-file.ts'
import { eventsView, rowsFromLog } from './rows-from-log.ts'
import { EVENTS, TABLES } from './tables.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-rows-'))
const RECEIVED = Date.parse('2026-03-02T12:00:00Z')
const CONTEXT = {
  browser: 'Chrome 140',
  os: 'Windows',
  device: 'desktop',
  country: 'DE',
  origin: 'https://Shop.example',
  bot: false,
  gpc: false,
}
let connection: DuckDBConnection
let fileNumber = 0

beforeAll(async () => {
  connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  await connection.run("SET TimeZone = 'UTC'")
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true, force: true })
})

interface Given {
  readonly [member: string]: unknown
}

/** A record's line with the members that matter to a claim. */
function line(given: Given): string {
  const record = {
    ...{ o: 7, t: 1, s: 3, r: RECEIVED, q: null, b: 'batch-1', n: 1, f: 0, i: null, d: {} },
    ...{ c: CONTEXT, e: null, p: null, x: null, k: '00000000' },
    ...given,
  }
  return `${JSON.stringify(record)}\n`
}

const event = (more: Given = {}) => ({
  eventType: 'click',
  timestamp: '2026-03-02T11:59:59Z',
  path: '/a',
  ...more,
})

type Row = Readonly<Record<string, string | number | boolean | null>>

async function query(sql: string): Promise<Row[]> {
  return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[]
}

function sqlOf(
  lines: string,
  table: 'events' | 'identities' | 'rejections',
  from?: number,
): string {
  const path = join(folder, `${fileNumber++}.ndjson`)
  writeFileSync(path, lines)
  return rowsFromLog({
    table,
    lines: `'${path}'`,
    sources: [{ sourceNo: 3, name: "Bob's shop" }],
    logId: 'ab'.repeat(16),
    ...(from === undefined ? {} : { fromOffset: from }),
  })
}

const rows = (lines: string) => query(sqlOf(lines, 'events'))

/** The row of one event, in a record with these members. */
async function row(of: Given, record: Given = {}): Promise<Row> {
  const [first] = await rows(line({ e: [event(of)], ...record }))
  return first!
}

describe('columns', () => {
  test.each(TABLES.map((table) => [table.name, table] as const))(
    '%s has the columns of its definition, in order and type',
    async (name, table) => {
      const description = await query(`DESCRIBE ${sqlOf(line({ e: [event()] }), name)}`)
      expect(description.map((column) => [column.column_name, column.column_type])).toEqual(
        table.columns.map((column) => [
          column.name,
          sqlType(column).replace('TIMESTAMPTZ', 'TIMESTAMP WITH TIME ZONE'),
        ]),
      )
    },
  )

  test('an event keeps its place in the batch when others were refused', async () => {
    const found = await rows(line({ e: [event(), event(), event()], i: [0, 4, 9], n: 3 }))
    expect(found.map((each) => each.event_index)).toEqual([0, 4, 9])
    const all = await rows(line({ e: [event(), event()], n: 2 }))
    expect(all.map((each) => each.event_index)).toEqual([0, 1])
  })

  test('a source has its name, quotes included, and an unknown one its number', async () => {
    expect((await row({})).source).toBe("Bob's shop")
    expect((await row({}, { s: 99 })).source).toBe('source-99')
  })

  test('rows come in the order of the log, and records below fromOffset are skipped', async () => {
    const lines = [5, 6, 9].map((o) => line({ o, e: [event(), event()], n: 2 })).join('')
    const order = (await rows(lines)).map((each) => `${each.log_offset}.${each.event_index}`)
    expect(order).toEqual(['5.0', '5.1', '6.0', '6.1', '9.0', '9.1'])
    const later = await query(sqlOf(lines, 'events', 6))
    expect(later.map((each) => each.log_offset)).toEqual(['6', '6', '9', '9'])
  })

  test('a record without accepted events yields no event', async () => {
    expect(await rows(line({ e: null, n: 0 }) + line({ o: 8, e: [event()] }))).toHaveLength(1)
  })

  test("an event's own ids and browser win over the envelope's, the browser's over the request's", async () => {
    const d = { visitorId: 'v', userId: 'u', sessionId: 's', pageId: 'p', browser: 'b' }
    expect(await row({ visitorId: 'V', pageId: 'P' }, { d })).toMatchObject({
      visitor_id: 'V',
      user_id: 'u',
      client_session_id: 's',
      page_id: 'P',
      browser: 'b',
    })
    expect((await row({ browser: 'own' }, { d })).browser).toBe('own')
    expect(await row({})).toMatchObject({ browser: 'Chrome 140', visitor_id: null, os: 'Windows' })
    expect(await row({})).toMatchObject({ device: 'desktop', country: 'DE', bot: false })
  })

  test('seq may be any whole number of JSON', async () => {
    const lines = line({ e: [event({ seq: 41 })] }).replace('"seq":41', '"seq":4.1e1')
    expect((await rows(lines))[0]!.seq).toBe(41)
  })
})

describe('time', () => {
  const at = (ms: number) => new Date(ms).toISOString()
  const micros = async (of: Given, record: Given = {}) => {
    const sql = sqlOf(line({ e: [event(of)], ...record }), 'events')
    const [found] = await query(
      `SELECT epoch_us(event_time) AS event_us, epoch_us(client_time) AS client_us, clock_suspect FROM (${sql})`,
    )
    return {
      event: Number(found!.event_us) / 1000,
      client: Number(found!.client_us) / 1000,
      suspect: found!.clock_suspect,
    }
  }

  test.each([
    '2019-11-15 18:05:00Z',
    '2019-11-15T18:05:00.5Z',
    '2019-11-15T18:05:00.123Z',
    '2019-11-15T18:05:00+14:00',
    '2019-11-15T18:05:00-09:30',
    '2024-02-29T23:59:59.999+00:00',
    '9999-12-31T00:00:00Z',
  ])('%s is the instant that the protocol reads', async (timestamp) => {
    const { event: eventMs, client } = await micros({ timestamp }, { f: 4 })
    expect(client).toBe(parseTimestamp(timestamp))
    expect(eventMs).toBe(client)
  })

  test('epoch milliseconds are read in every spelling of JSON', async () => {
    for (const spelling of ['1573841100000', '1573841100000.0', '1.5738411e12', '0']) {
      const lines = line({ e: [event({ timestamp: -1 })], f: 4 }).replace(
        '"timestamp":-1',
        `"timestamp":${spelling}`,
      )
      const [found] = await query(
        `SELECT epoch_us(event_time) AS us FROM (${sqlOf(lines, 'events')})`,
      )
      expect(Number(found!.us) / 1000).toBe(Number(spelling))
    }
  })

  test('a clock up to 30 s off is left alone, beyond that it is corrected by received − sent', async () => {
    const timestamp = at(RECEIVED - 60_000)
    for (const [offMs, shiftMs] of [
      [30_000, 0],
      [30_001, 30_001],
      [-30_000, 0],
      [-30_001, -30_001],
      [3_600_000, 3_600_000],
    ] as const) {
      const found = await micros({ timestamp }, { q: RECEIVED - offMs })
      expect(found).toEqual({
        event:
          RECEIVED - 60_000 + shiftMs > RECEIVED + 300_000 ? RECEIVED : RECEIVED - 60_000 + shiftMs,
        client: RECEIVED - 60_000,
        suspect: RECEIVED - 60_000 + shiftMs > RECEIVED + 300_000,
      })
    }
    expect((await micros({ timestamp })).event).toBe(RECEIVED - 60_000)
  })

  test('outside received − 7 days … received + 5 minutes the received time stands, as suspect', async () => {
    const week = 7 * 86_400_000
    for (const [clientMs, suspect] of [
      [RECEIVED - week, false],
      [RECEIVED - week - 1, true],
      [RECEIVED + 300_000, false],
      [RECEIVED + 300_001, true],
    ] as const) {
      expect(await micros({ timestamp: clientMs })).toEqual({
        event: suspect ? RECEIVED : clientMs,
        client: clientMs,
        suspect,
      })
    }
  })

  test('historical events keep their times, however old and whatever was sent', async () => {
    const timestamp = at(RECEIVED - 900 * 86_400_000)
    const found = await micros({ timestamp }, { f: 4, q: RECEIVED - 7_200_000 })
    expect(found).toEqual({
      event: Date.parse(timestamp),
      client: Date.parse(timestamp),
      suspect: false,
    })
  })

  test('a time that cannot be read does not stop its neighbours', async () => {
    const found = await rows(line({ e: [event({ timestamp: '12:99' }), event()], n: 2 }))
    expect(found.map((each) => each.clock_suspect)).toEqual([true, false])
    expect(found[0]!.event_time).toBe(found[0]!.received_at)
  })
})

describe('path', () => {
  test.each([
    ['/a/b', '/a/b', 'shop.example'],
    ['https://Www.Example.com/a?x=1#y', '/a', 'www.example.com'],
    ['https://example.com', '/', 'example.com'],
    ['https://example.com?x=1', '/', 'example.com'],
    ['https://me:secret@example.com:8443/a', '/a', 'example.com:8443'],
    ['/a?next=https://evil.example/b', '/a', 'shop.example'],
    ['/a#/route?utm_source=no', '/a', 'shop.example'],
    ['?x=1', '/', 'shop.example'],
    ['/go/http://other.example/b', '/go/http://other.example/b', 'shop.example'],
    ['file:///c/x', '/c/x', 'shop.example'],
    ['/line\nbreak?x', '/line\nbreak', 'shop.example'],
  ])('%j has path %j of host %s', async (given, path, host) => {
    expect(await row({ path: given })).toMatchObject({ path, host })
  })

  test('without an origin there is no host, and the envelope may give the path', async () => {
    const c = { ...CONTEXT, origin: null }
    expect(await row({}, { c })).toMatchObject({ host: null, path: '/a' })
    expect((await row({ path: null }, { d: { path: '/d?x' } })).path).toBe('/d')
  })

  test('campaign parameters are decoded into columns, the rest of the query is dropped', async () => {
    const path =
      '/a?utm_source=news%20letter&utm_medium=e+mail&x=1&utm_campaign=%C3%A4&utm_term=&my_utm_content=1'
    expect(await row({ path })).toMatchObject({
      path: '/a',
      utm_source: 'news letter',
      utm_medium: 'e mail',
      utm_campaign: 'ä',
      utm_term: null,
      utm_content: null,
      click_id: null,
    })
  })

  test('a parameter that is not UTF-8 once decoded stays as it came and stops nobody', async () => {
    const paths = ['/a?utm_source=%ff', '/a?utm_source=%zz%2', '/a?utm_source=a%00b', '/b']
    const found = await rows(line({ e: paths.map((path) => event({ path })), n: 4 }))
    expect(found.map((each) => each.utm_source)).toEqual(['%ff', '%zz%2', 'ab', null])
  })

  test('the first click id of the query is kept with its name', async () => {
    const path = 'https://x.example/?a=1&fbclid=f-1&gclid=g-1&utm_source=s'
    expect(await row({ path })).toMatchObject({ click_id: 'fbclid=f-1', utm_source: 's' })
    expect((await row({ path: '/?notgclid=1&gclid=' })).click_id).toBeNull()
  })
})

describe('consent', () => {
  test.each([
    [undefined, undefined, false, null],
    [{ measure: true, personalize: true }, undefined, false, 'measure,personalize'],
    [undefined, { profile: true }, false, 'profile'],
    [{ measure: true }, { profile: true }, false, 'measure'],
    [{ profile: false }, { profile: true }, false, ''],
    [{}, { profile: true }, false, 'profile'],
    [null, { profile: true }, false, 'profile'],
    [{ measure: true, profile: true, personalize: true }, undefined, true, 'measure'],
    [undefined, { profile: true }, true, ''],
    [undefined, undefined, true, null],
  ])('event %j, envelope %j, privacy control %s: %j', async (own, envelope, gpc, expected) => {
    const record = {
      d: envelope === undefined ? {} : { consent: envelope },
      c: { ...CONTEXT, gpc },
    }
    expect((await row(own === undefined ? {} : { consent: own }, record)).consent).toBe(expected)
  })
})

describe('data', () => {
  const KNOWN = Object.fromEntries(
    Object.entries(DATA_COLUMNS).map(([key, { kind }], at) => [
      key,
      kind === 'text' ? `t"${at}ü` : kind === 'integer' ? at - 3 : at + 0.5,
    ]),
  )
  const whole = async (lines: string) => {
    const sql = eventsView(`(${sqlOf(lines, 'events')})`)
    return (await query(`SELECT CAST(data AS VARCHAR) AS data FROM (${sql})`)).map(
      (each) => each.data,
    )
  }
  const parsed = async (data: unknown, f: number) =>
    JSON.parse(String((await whole(line({ e: [event({ data })], f })))[0]))

  test('every key of DATA_COLUMNS is in its column, and the rest is null when there is none', async () => {
    const found = await row({ data: KNOWN })
    for (const [key, { column }] of Object.entries(DATA_COLUMNS)) {
      expect([column, found[column]]).toEqual([column, KNOWN[key]])
    }
    expect(found.data).toBeNull()
    expect(await parsed(KNOWN, 0)).toEqual(KNOWN)
  })

  test('mixed: the rest keeps what has no column, nulls inside included', async () => {
    const data = { clientX: 1, form: { email: null, n: [null, 1] }, own: null, 'a"b': 'ü\n' }
    const found = await row({ data }, { f: 1 })
    expect(found).toMatchObject({ client_x: 1 })
    expect(JSON.parse(String(found.data))).toEqual({ ...data, clientX: undefined })
    expect(await parsed(data, 1)).toEqual(data)
    expect((await row({ data: { clientX: 1 } }, { f: 1 })).data).toBeNull()
  })

  test('wild: columns take values of their kind alone, data is whole', async () => {
    const data = {
      clientX: '12',
      button: 1.5,
      pointerId: 3,
      clientY: -2,
      referrer: 5,
      timezone: 'UTC',
    }
    const found = await row({ data: { ...data, pageW: 4294967296, groupId: null } }, { f: 2 })
    expect(found).toMatchObject({ client_x: null, button: null, pointer_id: 3, client_y: -2 })
    expect(found).toMatchObject({ referrer: null, timezone: 'UTC', page_w: null, group_id: null })
    expect(JSON.parse(String(found.data))).toEqual({ ...data, pageW: 4294967296, groupId: null })
    // As text: a key that stood there twice would parse to the same.
    expect(await whole(line({ e: [event({ data })], f: 2 }))).toEqual([JSON.stringify(data)])
    expect(await parsed({ own: { clientX: 1 } }, 2)).toEqual({ own: { clientX: 1 } })
  })

  test('empty or absent data is null, as is the whole of it', async () => {
    const lines = [0, 1, 2]
      .map((f) => line({ o: f, f, e: [event({ data: {} }), event({ data: null }), event()], n: 3 }))
      .join('')
    expect((await rows(lines)).map((each) => each.data)).toEqual(Array(9).fill(null))
    expect(await whole(lines)).toEqual(Array(9).fill(null))
  })

  test('whole coordinates print as they came, 12 and not 12.0', async () => {
    const data = { clientX: 12, clientY: -0.5, scrollY: 1e20 }
    const [text] = await whole(line({ e: [event({ data })] }))
    expect(text).toContain('"clientX":12,"clientY":-0.5')
    expect(JSON.parse(String(text))).toEqual(data)
  })

  test('batches of every kind may lie beside each other', async () => {
    const batches = [{ clientX: 1 }, { clientX: 2, own: 'b' }, { clientX: 'c' }]
    const lines = batches.map((data, f) => line({ o: f, f, e: [event({ data })] })).join('')
    expect((await whole(lines)).map((text) => JSON.parse(String(text)))).toEqual(batches)
  })
})

describe('identities and rejections', () => {
  test('an identify event is a row of identities with its whole data as traits', async () => {
    const data = { groupId: 'g', email: 'a@example.com' }
    const identify = event({ eventType: 'identify', userId: 'u', data })
    const sql = sqlOf(
      line({ f: 1, d: { visitorId: 'v' }, e: [event(), identify], n: 2 }),
      'identities',
    )
    const [found, ...others] = await query(sql)
    expect(others).toEqual([])
    expect(found).toMatchObject({ visitor_id: 'v', user_id: 'u', event_index: 1, log_offset: '7' })
    expect(JSON.parse(String(found!.traits))).toEqual(data)
  })

  test('an identify event of packed columns is one as well, with its entry of data', async () => {
    const p = {
      ...{ v: 1, t0: RECEIVED, types: ['pointermove', 'identify'], t: [0, 9], type: [0, 1] },
      ...{ x: [1, null], all: { pointerId: 1 }, data: { 1: { email: 'a@example.com' } } },
    }
    const [found, ...others] = await query(
      sqlOf(line({ f: 1, d: { visitorId: 'v', userId: 'u', path: '/' }, p, n: 2 }), 'identities'),
    )
    expect(others).toEqual([])
    expect(found).toMatchObject({ visitor_id: 'v', user_id: 'u', event_index: 1 })
    expect(found!.traits).toBe('{"email":"a@example.com"}')
  })

  test('a rejection is named by log, offset and place, and its text is kept', async () => {
    const x = [
      { index: 3, code: 'bad_timestamp', detail: 'd', pointer: '/timestamp', raw: '{"a":"\\u0000' },
      { index: 5, code: 'empty', detail: 'd', pointer: '', raw: 'x', stage: 'delivery' },
    ]
    const lines = line({ o: 1, e: [event()] }) + line({ o: 2, e: null, n: 0, x })
    const found = await query(sqlOf(lines, 'rejections'))
    expect(found.map((each) => each.rejection_id)).toEqual([
      `${'ab'.repeat(16)}-2-3`,
      `${'ab'.repeat(16)}-2-5`,
    ])
    expect(found[0]).toMatchObject({ code: 'bad_timestamp', raw: x[0]!.raw, pointer: '/timestamp' })
    expect(found[0]).toMatchObject({ event_index: 3, stage: 'door', detail: 'd' })
    expect(found[1]).toMatchObject({ event_index: 5, stage: 'delivery' })
    expect(found[0]).toMatchObject({ log_offset: '2', batch_id: 'batch-1', replayed_at: null })
  })
})

test('the view has the columns of the table', async () => {
  const sql = eventsView(`(${sqlOf(line({ e: [event()] }), 'events')})`)
  const names = (await query(`DESCRIBE ${sql}`)).map((column) => column.column_name)
  expect(names).toEqual(EVENTS.columns.map((column) => column.name))
})
