/**
 * The door, on the real process: what is taken, what is refused, what is told, and that SQL has it all.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { REJECTIONS, type RejectionCode } from '@millrace/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-door-'))
const data = join(folder, 'data')
let server: Server
let key: string
let token: string

beforeAll(async () => {
  server = await startServer(data)
  const credentials = readCredentials(data)
  key = credentials.writeKey
  token = await bearerToken(server.url, credentials)
})
afterAll(async () => {
  await stopped(server)
  expect(server.output()).not.toContain('a fault of ours')
  await stopAll()
  rmSync(folder, { recursive: true })
})

type Headers = Record<string, string>

const rows = (sql: string) => sqlRows(server.url, token, sql)
const post = (body: unknown, headers: Headers = {}, path = `/v1/events?key=${key}`) =>
  send(`${server.url}${path}`, {
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  })
const postAsServer = (body: unknown) =>
  post(body, { Authorization: `Bearer ${token}` }, '/v1/events')
const countOf = async (batchId: string) =>
  (await rows(`select count(*) from events where batch_id = '${batchId}'`))[0]![0]

/** The JSON of the published article, its missing comma restored and its comment replaced. */
const ARTICLE = `{
"eventType":"the type of the event",
"browser": "browser engine version",
"timestamp": "2019-11-15 18:05:00Z",
"path":"urls of the current page",
"target": "reference to the DOM element that received the event",
"data": {
"clientX": 12.5, "pointerType": "touch", "answer": {"to": ["everything", 42, null, true]}
}
}`
const event = (more: object = {}) => ({
  eventType: 'click',
  timestamp: Date.now(),
  path: '/cart',
  ...more,
})

describe("the article's event", () => {
  const senders = {
    'a write key': () => post(ARTICLE),
    'a Bearer token': () => postAsServer(ARTICLE),
    'a write key in a header': () => post(ARTICLE, { 'X-Write-Key': key }, '/v1/events'),
    'text/plain, as a beacon': () => post(ARTICLE, { 'Content-Type': 'text/plain;charset=UTF-8' }),
  }
  test.each(Object.entries(senders))('comes back whole when sent by %s', async (_, sender) => {
    const { status, body } = await sender()
    expect(status).toBe(202)
    expect(body).toEqual({
      batchId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      accepted: 1,
      rejected: [],
      duplicate: false,
    })
    const [row] = await rows(
      `select event_type, browser, client_time, path, target, data, client_x, pointer_type
       from events where batch_id = '${body.batchId}'`,
    )
    expect(row!.slice(0, 2)).toEqual(['the type of the event', 'browser engine version'])
    expect(new Date(row![2]).toISOString()).toBe('2019-11-15T18:05:00.000Z')
    expect(row!.slice(3, 5)).toEqual([
      'urls of the current page',
      'reference to the DOM element that received the event',
    ])
    const whole = typeof row![5] === 'string' ? JSON.parse(row![5]) : row![5]
    expect(whole).toEqual(JSON.parse(ARTICLE).data)
    expect(row!.slice(6)).toEqual([12.5, 'touch'])
  })

  test('keeps its time when a server sends it as historical, and a write key may not', async () => {
    const body = `{"historical":true,"batchId":"history","events":[${ARTICLE}]}`
    const refused = await post(body)
    expect(refused.status).toBe(403)
    expect(refused.body).toMatchObject({ code: 'forbidden', pointer: '/historical' })
    expect(await countOf('history')).toBe(0)
    expect((await postAsServer(body)).body).toMatchObject({ accepted: 1, duplicate: false })
    const [row] = await rows(
      `select event_time = client_time, clock_suspect, epoch_ms(event_time) from events
       where batch_id = 'history'`,
    )
    expect(row).toEqual([true, false, Date.UTC(2019, 10, 15, 18, 5)])
  })
})

describe('a bad event', () => {
  const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
  const members = (count: number) =>
    `{${Array.from({ length: count }, (_, at) => `"k${at}":1`).join(',')}}`
  const base = '"eventType":"click","timestamp":1574000000000,"path":"/"'
  const BAD: Record<RejectionCode, readonly [raw: string, pointer: string]> = {
    not_an_object: ['"click"', ''],
    missing_field: ['{"eventType":"click","path":"/"}', '/timestamp'],
    unknown_field: [`{${base},"colour":"red"}`, '/colour'],
    wrong_type: ['{"eventType":7,"timestamp":1574000000000,"path":"/"}', '/eventType'],
    empty: ['{"eventType":"","timestamp":1574000000000,"path":"/"}', '/eventType'],
    too_long: [`{${base},"target":"${'t'.repeat(1_025)}"}`, '/target'],
    control_character: [`{${base},"visitorId":"a\\u0007"}`, '/visitorId'],
    bad_timestamp: [
      '{"eventType":"click","timestamp":"2019-02-30T10:00:00Z","path":"/"}',
      '/timestamp',
    ],
    number_out_of_range: [`{${base},"data":{"a":[1,1e999]}}`, '/data/a/1'],
    lone_surrogate: [`{${base},"target":"\\ud800"}`, '/target'],
    duplicate_key: [`{${base},"data":{"clientX":1,"clientX":2}}`, '/data/clientX'],
    forbidden_key: [`{${base},"data":{"__proto__":{}}}`, '/data/__proto__'],
    too_deep: [`{${base},"data":${nested(17)}}`, `/data${'/a'.repeat(16)}`],
    too_many_keys: [`{${base},"data":${members(201)}}`, '/data'],
    event_too_large: [`{${base},"data":{"a":"${'x'.repeat(65_536)}"}}`, ''],
    consent_refused: [`{${base},"consent":{"measure":false}}`, ''],
  }

  test('there is one here for every code', () => {
    expect(Object.keys(BAD).sort()).toEqual(Object.keys(REJECTIONS).sort())
  })

  test.each(Object.entries(BAD))(
    '(%s) is refused alone, its neighbours are kept, and SQL has its text',
    async (code, [raw, pointer]) => {
      const batchId = `bad-${code}`
      const good = (seq: number) => JSON.stringify(event({ seq }))
      const { status, body } = await post(
        `{"batchId":"${batchId}","events":[${good(0)}, ${raw} ,${good(2)}]}`,
      )
      expect(status).toBe(202)
      expect(body).toMatchObject({ accepted: 2, rejected: [{ index: 1, code }] })
      expect(body.rejected[0].detail).toMatch(/\S/)
      expect(body.rejected[0].pointer).toBe(pointer)
      const found = await rows(
        `select code, detail, pointer, raw, event_index, source from rejections
         where batch_id = '${batchId}'`,
      )
      expect(found).toHaveLength(1)
      const [kept] = found
      expect(kept!.slice(0, 3)).toEqual([code, body.rejected[0].detail, pointer])
      // What a visitor did not want measured is not kept either.
      if (code === 'consent_refused') expect(kept![3]).toBe('')
      else if (raw.length <= 4_096) expect(kept![3]).toBe(raw)
      else expect(raw.startsWith(kept![3].slice(0, 1_000))).toBe(true)
      expect(kept!.slice(4)).toEqual([1, 'web'])
      expect(
        await rows(`select event_index, seq from events where batch_id = '${batchId}' order by 1`),
      ).toEqual([
        [0, 0],
        [2, 2],
      ])
    },
  )

  test('does not make the batch an error when there is nothing else in it', async () => {
    const { status, body } = await post([1, 'two', null])
    expect(status).toBe(202)
    expect(body).toMatchObject({ accepted: 0, duplicate: false })
    expect(body.rejected.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2])
  })
})

describe('a batch', () => {
  test('is one event, an array, or an envelope whose members are defaults', async () => {
    const one = await post(event())
    const array = await post([event(), event()])
    const envelope = await post({
      batchId: 'defaults',
      sentAt: new Date().toISOString(),
      browser: 'Gecko',
      path: '/default',
      visitorId: 'v-1',
      userId: 'u-1',
      sessionId: 's-1',
      pageId: 'p-1',
      consent: { measure: true, profile: true },
      events: [
        { eventType: 'a', timestamp: Date.now() },
        event({ visitorId: 'v-2', browser: 'B' }),
      ],
    })
    expect([one, array, envelope].map(({ body }) => body.accepted)).toEqual([1, 2, 2])
    expect(
      await rows(
        `select path, browser, visitor_id, user_id, client_session_id, page_id, consent from events
         where batch_id = 'defaults' order by event_index`,
      ),
    ).toEqual([
      ['/default', 'Gecko', 'v-1', 'u-1', 's-1', 'p-1', 'measure,profile'],
      ['/cart', 'B', 'v-2', 'u-1', 's-1', 'p-1', 'measure,profile'],
    ])
  })

  test('without events is taken and is nothing', async () => {
    expect((await post({ batchId: 'empty', events: [] })).body).toMatchObject({ accepted: 0 })
    expect((await post([])).body).toMatchObject({ accepted: 0, rejected: [] })
  })

  test('is known by its Idempotency-Key', async () => {
    const headers = { 'Idempotency-Key': 'order:17.b_c-d' }
    const first = await post([event(), 5], headers)
    const again = await post([event(), 5], headers)
    expect(first.body).toMatchObject({ batchId: 'order:17.b_c-d', accepted: 1, duplicate: false })
    expect(again.body).toMatchObject({ batchId: 'order:17.b_c-d', accepted: 1, duplicate: true })
    expect(await countOf('order:17.b_c-d')).toBe(1)
    const bad = await post([event()], { 'Idempotency-Key': 'two words' })
    expect([bad.status, bad.body.code]).toEqual([400, 'invalid_request'])
  })

  test('sent twenty times at the same moment is there once', async () => {
    const body = { batchId: 'twenty', events: [event({ seq: 1 }), event({ seq: 2 })] }
    const answers = await Promise.all(Array.from({ length: 20 }, () => post(body)))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202))
    expect(answers.filter(({ body }) => !body.duplicate)).toHaveLength(1)
    expect(answers.map(({ body }) => body.accepted)).toEqual(Array(20).fill(2))
    expect(await countOf('twenty')).toBe(2)
  })

  test('sent again changes nothing, also after a restart and with other events', async () => {
    const body = { batchId: 'again', events: [event({ target: 'first' })] }
    const other = { ...body, sentAt: Date.now(), events: [event({ target: 'other' }), event()] }
    expect((await post(body)).body).toMatchObject({ accepted: 1, duplicate: false })
    expect((await post(body)).body).toMatchObject({ accepted: 1, duplicate: true })
    expect(await stopped(server)).toBe(0)
    expect(server.output()).not.toContain('a fault of ours')
    server = await startServer(data)
    // The issuer of tokens is the server's address, and that is a new one.
    token = await bearerToken(server.url, readCredentials(data))
    expect((await post(body)).body).toMatchObject({ accepted: 1, duplicate: true })
    expect((await post(other)).body).toMatchObject({ duplicate: true })
    expect(await rows(`select target from events where batch_id = 'again'`)).toEqual([['first']])
  })

  test('comes compressed, said by a header or by its first bytes', async () => {
    const packed = gzipSync(JSON.stringify({ batchId: 'gzip-1', events: [event()] }))
    const beacon = gzipSync(JSON.stringify({ batchId: 'gzip-2', events: [event()] }))
    expect((await post(packed, { 'Content-Encoding': 'gzip' })).body).toMatchObject({ accepted: 1 })
    expect((await post(beacon, { 'Content-Type': 'text/plain' })).body).toMatchObject({
      accepted: 1,
    })
    expect(
      await rows(`select batch_id from events where batch_id like 'gzip-_' order by 1`),
    ).toEqual([['gzip-1'], ['gzip-2']])
  })

  test('of 500 events is taken, of 501 refused whole', async () => {
    const events = Array.from({ length: 501 }, (_, seq) => event({ seq }))
    const refused = await post({ batchId: 'many', events })
    expect([refused.status, refused.body.code]).toEqual([413, 'too_many_events'])
    expect(refused.body.hint).toContain('500')
    expect(await countOf('many')).toBe(0)
    expect((await post({ batchId: 'many', events: events.slice(1) })).body.accepted).toBe(500)
    expect(await countOf('many')).toBe(500)
  })

  test('that was acknowledged is in the very next query, fifty times', async () => {
    for (let turn = 0; turn < 50; turn++) {
      expect((await post({ batchId: `fresh-${turn}`, events: [event()] })).status).toBe(202)
      expect(await countOf(`fresh-${turn}`)).toBe(1)
    }
  })
})

test('an address in path gives host, path and campaign, and its query is not kept', async () => {
  const path = 'https://shop.example/a?utm_source=news&utm_campaign=x%20y&gclid=G1&mail=a@b.c#top'
  await post({ batchId: 'address', events: [event({ path })] })
  const [row] = await rows(
    `select host, path, utm_source, utm_campaign, click_id from events where batch_id = 'address'`,
  )
  expect(row).toEqual(['shop.example', '/a', 'news', 'x y', 'gclid=G1'])
  expect(await rows(`select count(*) from events e where e::varchar like '%a@b.c%'`)).toEqual([[0]])
})
