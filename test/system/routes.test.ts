/** Every other route of the door and of the server itself: Segment's calls, live, the account, status. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  bearerToken,
  readCredentials,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
  watchLive,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-routes-'))
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

const get = (path: string, headers: Record<string, string> = {}) =>
  send(`${server.url}${path}`, { method: 'GET', headers })
const getAs = (path: string) => get(path, { Authorization: `Bearer ${token}` })
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  send(`${server.url}${path}`, {
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
const rows = (sql: string) => sqlRows(server.url, token, sql)
const event = (more: object = {}) => ({
  eventType: 'click',
  timestamp: Date.now(),
  path: '/cart',
  ...more,
})

test("Segment's calls become events, identities and people, once", async () => {
  const timestamp = new Date().toISOString()
  const common = { anonymousId: 'anon-1', timestamp }
  const batch = {
    batch: [
      {
        ...common,
        type: 'identify',
        messageId: 'm-1',
        userId: 'user-1',
        traits: { plan: 'gold' },
      },
      {
        ...common,
        type: 'track',
        event: 'Order Completed',
        messageId: 'm-2',
        properties: { total: 9.5 },
        context: { page: { url: 'https://shop.example/pay?utm_source=mail' } },
      },
      {
        ...common,
        type: 'page',
        name: 'Home',
        messageId: 'm-3',
        properties: { path: '/home' },
      },
      { ...common, type: 'track', messageId: 'm-4' },
    ],
  }
  const headers = { Authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}` }
  const first = await post('/v1/batch', batch, headers)
  expect(first.status).toBe(202)
  expect(first.body).toMatchObject({
    accepted: 3,
    rejected: [{ index: 3, code: 'missing_field', pointer: '/eventType' }],
    duplicate: false,
  })
  expect((await post('/v1/batch', batch, headers)).body.duplicate).toBe(true)
  expect(
    await rows(
      `select event_id, event_type, visitor_id, user_id, host, path, utm_source from events
       where event_id like 'm-_' order by 1`,
    ),
  ).toEqual([
    ['m-1', 'identify', 'anon-1', 'user-1', null, '/', null],
    ['m-2', 'Order Completed', 'anon-1', null, 'shop.example', '/pay', 'mail'],
    ['m-3', 'page', 'anon-1', null, null, '/home', null],
  ])
  const [identity] = await rows('select visitor_id, user_id, traits from identities')
  expect(identity!.slice(0, 2)).toEqual(['anon-1', 'user-1'])
  expect(JSON.parse(identity![2])).toEqual({ plan: 'gold' })
  expect(await rows(`select count(*) from people where user_id = 'user-1'`)).toEqual([[1]])
})

test("a bad Segment request is a problem like the door's own", async () => {
  const refused = [
    await post('/v1/batch', { batch: [] }),
    await post('/v1/batch', '{"batch":', { Authorization: `Basic ${btoa(`${key}:`)}` }),
    await post('/v1/batch', {}, { Authorization: `Basic ${btoa(`${key}:`)}` }),
    await post('/v1/batch', { batch: Array(501).fill(1) }, { Authorization: `Basic ${btoa(key)}` }),
    await post('/v1/batch', ' '.repeat(1_048_577), { Authorization: `Basic ${btoa(key)}` }),
  ]
  expect(refused.map(({ status, body }) => [status, body.code])).toEqual([
    [401, 'unauthorized'],
    [400, 'malformed_json'],
    [400, 'invalid_envelope'],
    [413, 'too_many_events'],
    [413, 'body_too_large'],
  ])
  for (const { headers } of refused)
    expect(headers['content-type']).toBe('application/problem+json')
})

test('a page of another site may send Segment calls, and reads the answer', async () => {
  const origin = 'https://shop.example'
  const asked = await send(`${server.url}/v1/batch`, {
    method: 'OPTIONS',
    headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
  })
  expect([asked.status, asked.text]).toEqual([204, ''])
  expect(asked.headers).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers': expect.stringMatching(/authorization.*content-type/i),
  })
  for (const [body, status] of [
    [{ writeKey: key, batch: [] }, 202],
    [{ writeKey: 'none', batch: [] }, 401],
  ] as const) {
    const answer = await post('/v1/batch', body, { Origin: origin })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([status, origin])
    expect(answer.headers.vary).toBe('Origin')
  }
})

test('who watches sees an event and a refusal arrive', async () => {
  const live = await watchLive(server.url, token)
  await post(`/v1/events?key=${key}`, {
    visitorId: 'v-live',
    events: [event({ target: '#live', seq: 7 }), event({ timestamp: 'soon' })],
  })
  const arrived = await live.next(/#live/)
  expect(arrived).toEqual({
    event: 'message',
    data: expect.objectContaining({
      receivedMs: expect.any(Number),
      source: 'web',
      eventType: 'click',
      path: '/cart',
      target: '#live',
      visitorId: 'v-live',
      seq: 7,
    }),
  })
  expect(await live.next(/^event: rejected/)).toMatchObject({
    event: 'rejected',
    data: { code: 'bad_timestamp', pointer: '/timestamp', raw: expect.stringContaining('soon') },
  })
  live.close()
  expect((await get('/v1/live')).status).toBe(401)
})

test('the account adds up, and is what SQL counts', async () => {
  const batch = { batchId: 'account', events: [event(), 5, event()] }
  const { body: before } = await getAs('/v1/ledger')
  await post(`/v1/events?key=${key}`, batch)
  await post(`/v1/events?key=${key}`, batch)
  const { body: account } = await getAs('/v1/ledger')
  const grown = ['received', 'accepted', 'rejected', 'duplicate'].map(
    (name) => account[name] - before[name],
  )
  expect(grown).toEqual([6, 2, 1, 3])
  expect(account.received).toBe(account.accepted + account.rejected + account.duplicate)
  expect(account.accepted).toBe(
    account.delivered + account.pending + account.undeliverable + account.suppressed,
  )
  expect(await rows('select count(*) from events')).toEqual([[account.accepted]])
  expect(await rows('select count(*) from rejections')).toEqual([[account.rejected]])
  expect(account.flow).toEqual({
    acceptMs: expect.any(Number),
    syncMs: expect.any(Number),
    queryMs: expect.any(Number),
  })
  expect(account.lagMs).toEqual(expect.any(Number))
})

test('SQL comes as CSV on request, and another format is refused', async () => {
  const sql = JSON.stringify({ sql: `select 1 as one, 'a,"b"' as two` })
  const headers = { Authorization: `Bearer ${token}` }
  const csv = await post('/v1/query', sql, { ...headers, Accept: 'text/csv' })
  expect(csv.headers['content-type']).toMatch(/^text\/csv/)
  expect(csv.text.trim().split(/\r?\n/)).toEqual(['one,two', '1,"a,""b"""'])
  expect((await post('/v1/query', sql, { ...headers, Accept: 'image/png' })).status).toBe(406)
})

test('requests that are refused whole are counted, and so are their bytes', async () => {
  const refused = async () => {
    const { text } = await get('/metrics')
    const value = (name: string) =>
      Number(new RegExp(`^${name}\\{outcome="unauthorized"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
    return {
      requests: value('millrace_collector_requests_total'),
      bytes: value('millrace_collector_request_bytes_total'),
    }
  }
  const before = await refused()
  const batch = [event()]
  await post('/v1/events?key=wrong', batch)
  await post('/v1/events?key=wrong', batch)
  const after = await refused()
  expect(after).toEqual({
    requests: before.requests + 2,
    bytes: before.bytes + 2 * JSON.stringify(batch).length,
  })
})

test('health, readiness and metrics need no credential', async () => {
  expect((await get('/health')).body).toEqual({
    status: 'ok',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    demo: false,
  })
  expect((await get('/ready')).body).toEqual({ status: 'ready' })
  const metrics = await get('/metrics')
  expect(metrics.headers['content-type']).toMatch(/^text\/plain/)
  expect(metrics.text).toMatch(/^millrace_collector_events_total\{outcome="accepted"\} \d+$/m)
  expect(metrics.text).not.toContain(key)
})

test('the tracker is there for other sites, compressed, and asked for again cheaply', async () => {
  const { status, headers, text } = await get('/m.js')
  expect(status).toBe(200)
  expect(headers['content-type']).toMatch(/^text\/javascript/)
  expect(headers['access-control-allow-origin']).toBe('*')
  expect(text).toContain('/v1/events')
  const packed = await get('/m.js', { 'Accept-Encoding': 'gzip' })
  expect(packed.headers['content-encoding']).toBe('gzip')
  const again = await get('/m.js', { 'If-None-Match': headers.etag as string })
  expect(again.status).toBe(304)
})

test('the console is served under a policy that runs no foreign script', async () => {
  const { status, headers } = await get('/')
  expect(status).toBe(200)
  expect(headers['content-security-policy']).toContain("script-src 'self'")
})

test('every route that /openapi.json lists is there', async () => {
  const { body: document } = await get('/openapi.json')
  expect(document.openapi).toBe('3.1.0')
  expect(document.servers).toEqual([{ url: server.url }])
  const asked: [string, number][] = []
  for (const [path, methods] of Object.entries<object>(document.paths)) {
    for (const method of Object.keys(methods).filter((name) => /^[a-z]+$/.test(name))) {
      if (method === 'parameters') continue
      const url = `${server.url}${path.replace(/\{\w+\}/g, 'none')}`
      // Without a credential: what is there refuses, what is not there is not found.
      const { status } = await send(url, { method: method.toUpperCase() })
      asked.push([`${method} ${path}`, status])
    }
  }
  expect(asked.length).toBeGreaterThanOrEqual(12)
  expect(asked.filter(([, status]) => status === 404 || status >= 500)).toEqual([])
})

test('a method that a route does not take is told which it takes', async () => {
  for (const [method, path, allow] of [
    ['GET', '/v1/query', 'POST'],
    ['POST', '/v1/ledger', 'GET'],
    ['DELETE', '/v1/live', 'GET'],
    ['PUT', '/v1/batch', 'POST, OPTIONS'],
    ['PATCH', '/v1/sources', 'GET, POST'],
    ['POST', '/v1/sources/web', 'PUT'],
    ['GET', '/v1/clients/cl_none', 'DELETE'],
    ['POST', '/health', 'GET'],
    ['GET', '/oauth/token', 'POST'],
  ]) {
    const { status, headers } = await send(`${server.url}${path}`, { method: method! })
    expect([method, path, status, headers.allow]).toEqual([method, path, 405, allow])
  }
})

test('a path that nobody serves is a problem, whatever the method', async () => {
  for (const path of ['/nothing', '/v1/nothing', '/v1/eventsx', '/..%2fcredentials.json', '/%ff']) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const { status, headers, body } = await send(`${server.url}${path}`, { method })
      expect([method, path, status, body?.code]).toEqual([method, path, 404, 'not_found'])
      expect(headers['content-type']).toBe('application/problem+json')
    }
  }
})
