/**
 * Two tenants on one server: neither sees anything of the other, by any route, and no secret is ever
 * written where it does not belong.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  bearerToken,
  type Credentials,
  millrace,
  type Server,
  send,
  sqlRows,
  startServer,
  stopAll,
  stopped,
  watchLive,
} from '../support/server.mjs'

const folder = mkdtempSync(join(tmpdir(), 'millrace-tenants-'))
const data = join(folder, 'data')
let server: Server
let tenants: (Credentials & { token: string; mark: string })[]

beforeAll(async () => {
  // All it has to say, so that a secret in the server's log would be seen.
  server = await startServer(data, { logLevel: 'debug' })
  tenants = []
  for (const tenantId of ['acme', 'zenith']) {
    const made = await millrace(['tenant', 'create', tenantId, '--name', 'X', '--data', data])
    expect(made).toMatchObject({ code: 0, stderr: '' })
    const credentials = JSON.parse(made.stdout) as Credentials
    const token = await bearerToken(server.url, credentials)
    tenants.push({ ...credentials, token, mark: `only-${tenantId}` })
  }
  for (const [at, { writeKey, mark }] of tenants.entries()) {
    const events = Array.from({ length: at + 2 }, (_, seq) => ({
      eventType: 'identify',
      timestamp: Date.now(),
      path: `/${mark}`,
      visitorId: mark,
      userId: mark,
      seq,
    }))
    // The same batch id in both: it is the tenant's own.
    const body = JSON.stringify({ batchId: 'b-1', events: [...events, { [mark]: 1 }] })
    const { status } = await send(`${server.url}/v1/events?key=${writeKey}`, {
      headers: { 'Content-Type': 'application/json' },
      body,
    })
    expect(status).toBe(202)
  }
})
afterAll(async () => {
  await stopped(server)
  await stopAll()
  rmSync(folder, { recursive: true })
})

const get = (path: string, headers: Record<string, string>) =>
  send(`${server.url}${path}`, { method: 'GET', headers })

test('SQL shows each its own rows, in every table', async () => {
  for (const [at, { token, mark }] of tenants.entries()) {
    const rows = (sql: string) => sqlRows(server.url, token, sql)
    expect(await rows('select path, count(*) from events group by 1')).toEqual([
      [`/${mark}`, at + 2],
    ])
    expect(await rows('select distinct visitor_id from identities')).toEqual([[mark]])
    expect(await rows('select distinct user_id from people')).toEqual([[mark]])
    expect(await rows('select raw from rejections')).toEqual([[`{"${mark}":1}`]])
  }
})

test("SQL cannot name the other's tables, files or folder", async () => {
  const [acme] = tenants
  for (const sql of [
    'select * from zenith.events',
    `select * from read_json('${data}/log/*.ndjson')`,
    `select * from read_text('${data}/credentials.json')`,
    `select * from '${data}/control.db'`,
    `select * from glob('${data}/**')`,
  ]) {
    const { status, body } = await send(`${server.url}/v1/query`, {
      headers: { Authorization: `Bearer ${acme!.token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ sql }),
    })
    expect([sql, status]).toEqual([sql, 400])
    expect(JSON.stringify(body)).not.toContain('only-zenith')
  }
})

test('account, sources and clients are its own', async () => {
  for (const [at, { token, writeKey, clientId }] of tenants.entries()) {
    const headers = { Authorization: `Bearer ${token}` }
    expect((await get('/v1/ledger', headers)).body).toMatchObject({
      received: at + 3,
      accepted: at + 2,
      rejected: 1,
      duplicate: 0,
    })
    const sources = (await get('/v1/sources', headers)).body.items
    expect(sources.map(({ writeKey }: Credentials) => writeKey)).toEqual([writeKey])
    const clients = await get('/v1/clients', headers)
    // Clients are an administrator's business; whoever may see them sees the tenant's own.
    if (clients.status === 200)
      expect(clients.body.items.map(({ clientId }: Credentials) => clientId)).toEqual([clientId])
    else expect(clients.status).toBe(403)
    expect((await get('/v1/tenants', headers)).status).toBe(403)
  }
})

test('who watches one tenant sees nothing of the other', async () => {
  const [acme, zenith] = tenants
  const live = await watchLive(server.url, acme!.token)
  for (const { writeKey, mark } of [zenith!, acme!]) {
    await send(`${server.url}/v1/events?key=${writeKey}`, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify([{ eventType: 'live', timestamp: 0, path: `/${mark}` }, { [mark]: 1 }]),
    })
  }
  await live.next(/^data: .*\/only-acme/)
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(live.seen()).not.toContain('zenith')
  live.close()
})

test('a token or a login that names the other tenant meets nothing', async () => {
  const [acme, zenith] = tenants
  const named = { 'X-Millrace-Tenant': 'zenith' }
  const asToken = { Authorization: `Bearer ${acme!.token}` }
  const { clientId, clientSecret } = acme!
  const login = await send(`${server.url}/v1/session`, {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ clientId, clientSecret }),
  })
  expect(login.status).toBe(200)
  const cookie = login.headers['set-cookie']![0]!
  expect(cookie).toMatch(/HttpOnly/i)
  expect(cookie).toMatch(/SameSite=Strict/i)
  const asSession = { Cookie: cookie.split(';')[0]!, 'X-CSRF-Token': login.body.csrf }
  const sql = JSON.stringify({ sql: 'select count(*) from events' })
  for (const who of [asToken, asSession] as Record<string, string>[]) {
    for (const path of ['/v1/ledger', '/v1/sources', '/v1/live']) {
      expect((await get(path, { ...who, ...named })).status).toBe(404)
      expect((await get(`${path}?tenant=zenith`, who)).status).toBe(404)
    }
    expect((await get('/v1/ledger', { ...who, 'X-Millrace-Tenant': 'acme' })).status).toBe(200)
    const headers = { 'Content-Type': 'application/json', ...who }
    const query = await send(`${server.url}/v1/query`, {
      headers: { ...headers, ...named },
      body: sql,
    })
    expect([query.status, query.body.code]).toEqual([404, 'not_found'])
    expect((await send(`${server.url}/v1/query`, { headers, body: sql })).status).toBe(200)
  }
  const { 'X-CSRF-Token': _, ...bare } = asSession
  const forged = await send(`${server.url}/v1/query`, {
    headers: { 'Content-Type': 'application/json', ...bare },
    body: sql,
  })
  expect(forged.status).toBe(403)
  // A write key writes, and does nothing else.
  for (const headers of [{ 'X-Write-Key': zenith!.writeKey }, {}])
    expect((await get(`/v1/ledger?key=${zenith!.writeKey}`, headers)).status).toBe(401)
  secrets.push(asSession.Cookie.split('=')[1]!, login.body.csrf)
})

const secrets: string[] = []

test('a secret is in no log line and in no file but credentials.json', async () => {
  const own = JSON.parse(readFileSync(join(data, 'credentials.json'), 'utf8')) as Credentials
  for (const { clientSecret, token } of tenants) secrets.push(clientSecret, token)
  secrets.push(own.clientSecret)
  expect(secrets).toHaveLength(7)
  const check = () => {
    for (const name of readdirSync(data, { recursive: true }) as string[]) {
      const bytes = readIfFile(join(data, name))
      for (const secret of secrets) {
        const isHome = name === 'credentials.json' && secret === own.clientSecret
        expect([name, bytes.includes(secret)]).toEqual([name, isHome])
      }
    }
    for (const secret of [...secrets, ...tenants.map(({ writeKey }) => writeKey)])
      expect(server.output()).not.toContain(secret)
  }
  check()
  expect(server.output()).toContain('listening')
  // What was only in memory or in a file of the moment is on disk or gone after the end.
  await stopped(server)
  check()
})

function readIfFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if (['EISDIR', 'ENOENT'].includes((error as NodeJS.ErrnoException).code!))
      return Buffer.alloc(0)
    throw error
  }
}
