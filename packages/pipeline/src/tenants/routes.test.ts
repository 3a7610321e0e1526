import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { createLocalJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../kit/clock.ts'
import { nodeFiles } from '../kit/files.ts'
import { problemResponse } from '../kit/responses.ts'
import { createAuthorize, factsOf } from './authorize.ts'
import { controlRoutes } from './control-routes.ts'
import { type CreatedTenant, createTenant } from './create-tenant.ts'
import { createLinks, LINK_LIFE_MS, type Links } from './links.ts'
import { MemoryTenantStore } from './memory-tenant-store.ts'
import { oauthRoutes } from './oauth-routes.ts'
import { SESSION_LIFE_MS, sessionRoutes } from './session-routes.ts'
import { openSigningKeys } from './signing-keys.ts'
import { SCOPES } from './tenant-store.ts'
import { createTokens } from './tokens.ts'

const ISSUER = 'https://millrace.example'
const random = systemRandom
const folder = mkdtempSync(join(tmpdir(), 'millrace-routes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let nowMs: number
const clock = { now: () => nowMs }
let app: Hono
let links: Links
/** The deployment's first tenant, whose client has every scope, and a tenant of its own. */
let root: CreatedTenant
let acme: CreatedTenant
let store: MemoryTenantStore

beforeEach(async () => {
  nowMs = Math.floor(Date.now() / 1_000) * 1_000
  store = new MemoryTenantStore()
  const warn = () => undefined
  const keys = await openSigningKeys({ folder, files: nodeFiles, clock, random, warn })
  const issuer = () => ISSUER
  const tokens = createTokens({ store, keys, issuer, clock, random })
  const authorize = createAuthorize({ store, tokens, clock })
  links = createLinks({ clock, random })
  app = new Hono()
  app.route('/', oauthRoutes({ store, tokens, keys, issuer, clock }))
  app.route('/', sessionRoutes({ store, links, clock, random }))
  app.route('/', controlRoutes({ store, authorize, clock, random }))
  app.all('/who', async (context) => {
    const who = await authorize(factsOf(context.req.raw), 'sql:read')
    return 'kind' in who ? Response.json(who) : problemResponse(who)
  })
  const made = async (tenantId: string, more: object) => {
    const tenant = await createTenant({ store, clock, random }, { tenantId, ...more })
    if (tenant === 'exists') throw new Error('exists')
    return tenant
  }
  root = await made('demo', { scopes: SCOPES })
  acme = await made('acme', {})
})

type Headers = Record<string, string>
interface Page {
  readonly items: readonly { readonly name: string; readonly tenantId?: string }[]
  readonly nextCursor: null
}
const ask = (method: string, path: string, headers: Headers = {}, body?: unknown) =>
  app.request(`${ISSUER}${path}`, {
    method,
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })

const GRANT = 'grant_type=client_credentials'
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
})
const askToken = (headers: Headers, body: string) =>
  ask('POST', '/oauth/token', { ...form, ...headers }, body)

async function bearer({ clientId, clientSecret }: CreatedTenant): Promise<Headers> {
  const answer = await askToken(basic(clientId, clientSecret), 'grant_type=client_credentials')
  return {
    authorization: `Bearer ${((await answer.json()) as { access_token: string }).access_token}`,
  }
}

describe('the token endpoint', () => {
  test.each(['Basic', 'Post'] as const)('an independent client gets a token by %s', async (way) => {
    const options = { [oauth.customFetch]: (url: string, init?: object) => app.request(url, init) }
    const issuer = new URL(ISSUER)
    const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' } as never)
    const server = await oauth.processDiscoveryResponse(issuer, found)
    const client = { client_id: acme.clientId }
    const auth = way === 'Basic' ? oauth.ClientSecretBasic : oauth.ClientSecretPost
    const secret = auth(acme.clientSecret)
    const wanted = { scope: 'sql:read events:write' }
    const answer = await oauth.clientCredentialsGrantRequest(
      server,
      client,
      secret,
      wanted,
      options as never,
    )
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const granted = await oauth.processClientCredentialsResponse(server, client, answer)
    expect(granted).toMatchObject({ token_type: 'bearer', expires_in: 900, ...wanted })

    const jwks = await (await app.request(server.jwks_uri ?? '')).json()
    const { payload } = await jwtVerify(granted.access_token, createLocalJWKSet(jwks as never), {
      issuer: ISSUER,
      audience: ISSUER,
      typ: 'at+jwt',
      algorithms: ['ES256'],
    })
    expect(payload).toMatchObject({ client_id: acme.clientId, tenant: 'acme', ...wanted })
    const headers = { authorization: `Bearer ${granted.access_token}` }
    expect((await ask('GET', '/who', headers)).status).toBe(200)
  })

  test.each([
    ['no grant type', 400, 'invalid_request', '', ''],
    ['another grant type', 400, 'unsupported_grant_type', 'grant_type=password', ''],
    ['a scope not granted', 400, 'invalid_scope', 'grant_type=client_credentials&scope=admin', ''],
    ['an unknown scope', 400, 'invalid_scope', 'grant_type=client_credentials&scope=x', ''],
    ['a parameter twice', 400, 'invalid_request', `${GRANT}&${GRANT}`, ''],
    ['a secret in the body too', 400, 'invalid_request', `${GRANT}&client_secret=x`, ''],
    ['another client id in the body', 400, 'invalid_request', `${GRANT}&client_id=cl_x`, ''],
    ['the secret in the address', 400, 'invalid_request', GRANT, '?client_secret=x'],
    ['too many bytes', 400, 'invalid_request', `${GRANT}&more=${'x'.repeat(9_000)}`, ''],
  ])('%s: %i %s', async (_name, status, error, body, query) => {
    const headers = { ...form, ...basic(acme.clientId, acme.clientSecret) }
    const answer = await ask('POST', `/oauth/token${query}`, headers, body)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({ error, error_description: expect.any(String) })
  })

  test('an unknown client and a wrong secret get the same 401', async () => {
    const asked = (id: string) => askToken(basic(id, 'cs_0'), 'grant_type=client_credentials')
    const [wrong, unknown] = [await asked(acme.clientId), await asked('cl_0000000000000000')]
    expect(wrong.status).toBe(401)
    expect(wrong.headers.get('www-authenticate')).toMatch(/^Basic /)
    expect(unknown.status).toBe(401)
    expect(await unknown.text()).toBe(await wrong.text())
    for (const header of ['Basic !!!', 'Basic', 'Bearer x', `Basic ${btoa('%zz:a')}`]) {
      expect((await askToken({ authorization: header }, '')).status).toBe(401)
    }
  })

  test('after ten failures in a minute a client is slowed, others and its own secret are not', async () => {
    const wrong = () => askToken(basic(acme.clientId, 'cs_0'), 'grant_type=client_credentials')
    for (let i = 0; i < 10; i++) expect((await wrong()).status).toBe(401)
    const slowed = await wrong()
    expect([slowed.status, slowed.headers.get('retry-after')]).toEqual([429, '60'])
    expect((await askToken(basic(root.clientId, 'cs_0'), '')).status).toBe(401)
    expect(await bearer(acme)).toMatchObject({ authorization: expect.stringMatching(/ eyJ/) })
    nowMs += 60_000
    expect((await wrong()).status).toBe(401)
  })

  test('GET and a JSON body are refused', async () => {
    expect((await ask('GET', '/oauth/token')).headers.get('allow')).toBe('POST')
    expect((await ask('POST', '/oauth/token', {}, {})).status).toBe(400)
  })
})

interface Login {
  readonly headers: Headers
  readonly answer: Response
  readonly body: { readonly csrf?: string; readonly tenants?: unknown }
}

async function logIn(body: object): Promise<Login> {
  const answer = await ask('POST', '/v1/session', {}, body)
  const facts = (await answer.clone().json()) as { csrf?: string }
  const cookie = (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''
  return { headers: { cookie, 'x-csrf-token': facts.csrf ?? '' }, answer, body: facts }
}
const ownLogin = () => logIn({ clientId: acme.clientId, clientSecret: acme.clientSecret })

describe('console sessions', () => {
  test('a login sets a cookie that no script reads and tells what it may do', async () => {
    const { answer, headers, body } = await ownLogin()
    expect(answer.headers.get('set-cookie')).toMatch(
      /^millrace_session=[0-9a-f]{64}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure$/,
    )
    expect(body).toMatchObject({
      tenants: [{ tenantId: 'acme', name: 'acme', synthetic: false }],
      expiresMs: nowMs + SESSION_LIFE_MS,
    })
    expect(await (await ask('GET', '/v1/session', headers)).json()).toEqual(body)
    const plain = { clientId: acme.clientId, clientSecret: acme.clientSecret }
    const http = await app.request('http://127.0.0.1/v1/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(plain),
    })
    expect(http.headers.get('set-cookie')).not.toContain('Secure')
  })

  test('an unsafe method needs the token of our own page', async () => {
    const { headers } = await ownLogin()
    const { cookie = '', 'x-csrf-token': csrf = '' } = headers
    const status = async (method: string, more: Headers) =>
      (await ask(method, '/who', { cookie, ...more })).status
    expect(await status('GET', {})).toBe(200)
    expect(await status('POST', {})).toBe(403)
    expect(await status('POST', { 'x-csrf-token': `${csrf.slice(0, -1)}g` })).toBe(403)
    expect(await status('POST', { 'x-csrf-token': (await ownLogin()).body.csrf ?? '' })).toBe(403)
    expect(await status('POST', { 'x-csrf-token': csrf })).toBe(200)
    expect((await ask('DELETE', '/v1/session', { cookie })).status).toBe(403)
  })

  test('it ends by logging out, by time, and with its client', async () => {
    const status = async (headers: Headers) => (await ask('GET', '/who', headers)).status
    const first = (await ownLogin()).headers
    expect((await ask('DELETE', '/v1/session', first)).status).toBe(204)
    expect(await status(first)).toBe(401)
    const second = (await ownLogin()).headers
    nowMs += SESSION_LIFE_MS
    expect(await status(second)).toBe(401)
    const third = (await ownLogin()).headers
    expect(await status(third)).toBe(200)
    await store.removeClient(acme.tenant.tenantNo, acme.clientId)
    expect(await status(third)).toBe(401)
  })

  test('a link works once and in time', async () => {
    const grants = [{ tenantNo: acme.tenant.tenantNo, scopes: ['sql:read'] as const }]
    const link = links.mint(grants)
    const { answer, body } = await logIn({ link })
    expect(answer.status).toBe(200)
    expect(body.tenants).toMatchObject([{ tenantId: 'acme', scopes: ['sql:read'] }])
    expect((await logIn({ link })).answer.status).toBe(401)
    const late = links.mint(grants)
    nowMs += LINK_LIFE_MS
    expect((await logIn({ link: late })).answer.status).toBe(401)
  })

  test('it acts for the tenants that it was granted, by name', async () => {
    const grant = ({ tenant }: CreatedTenant, scopes: readonly 'sql:read'[]) => ({
      tenantNo: tenant.tenantNo,
      scopes,
    })
    const link = links.mint([grant(acme, ['sql:read']), grant(root, [])])
    const { headers } = await logIn({ link })
    const named = (name: string) => ask('GET', '/who', { ...headers, 'x-millrace-tenant': name })
    expect((await ask('GET', '/who', headers)).status).toBe(400)
    expect(await (await named('acme')).json()).toMatchObject({ tenant: { tenantId: 'acme' } })
    expect((await ask('GET', '/who?tenant=acme', headers)).status).toBe(200)
    expect((await named('demo')).status).toBe(403)
    const own = (await ownLogin()).headers
    const there = await ask('GET', '/who', { ...own, 'x-millrace-tenant': 'demo' })
    const nowhere = await ask('GET', '/who', { ...own, 'x-millrace-tenant': 'nowhere' })
    expect([there.status, await there.text()]).toEqual([404, await nowhere.text()])
  })

  test('a bad token is not rescued by a good cookie, two cookies are none', async () => {
    const { headers } = await ownLogin()
    expect((await ask('GET', '/who', { ...headers, authorization: 'Bearer x' })).status).toBe(401)
    const cookie = `${headers.cookie}; ${headers.cookie}`
    expect((await ask('GET', '/who', { cookie })).status).toBe(401)
  })

  test('wrong secrets are 401 and then slowed; unclear bodies are 400', async () => {
    const wrong = { clientId: acme.clientId, clientSecret: 'cs_0' }
    for (let i = 0; i < 10; i++) expect((await logIn(wrong)).answer.status).toBe(401)
    expect((await logIn(wrong)).answer.status).toBe(429)
    expect((await ownLogin()).answer.status).toBe(200)
    for (const body of [{}, { clientId: 'a' }, { link: 'a', clientId: 'b' }, { more: 1 }]) {
      expect((await logIn(body)).answer.status).toBe(400)
    }
    const text = { 'content-type': 'text/plain' }
    expect((await ask('POST', '/v1/session', text, '{}')).status).toBe(415)
  })
})

describe('control routes', () => {
  const status = async (answer: Response | Promise<Response>) => (await answer).status

  test('a tenant is made by admin alone, once, with keys that work', async () => {
    const admin = await bearer(root)
    const made = await ask('POST', '/v1/tenants', admin, { tenantId: 'shop', name: 'Shop' })
    expect(made.status).toBe(201)
    const keys = (await made.json()) as CreatedTenant
    expect(store.sourceByKey(keys.writeKey)).toMatchObject({ name: 'web' })
    const own = await bearer(keys)
    expect(store.client(keys.clientId)?.scopes).not.toContain('admin')
    expect(await status(ask('POST', '/v1/tenants', own, { tenantId: 'more' }))).toBe(403)
    expect(await status(ask('GET', '/v1/tenants', own))).toBe(403)
    expect(await status(ask('POST', '/v1/tenants', admin, { tenantId: 'shop' }))).toBe(409)
    const { items, nextCursor } = (await (await ask('GET', '/v1/tenants', admin)).json()) as Page
    expect(items.map((item) => item.tenantId)).toEqual(['demo', 'acme', 'shop'])
    expect([nextCursor, 'tenantNo' in (items[0] ?? {})]).toEqual([null, false])
  })

  test('a client gets only scopes of its maker, shows its secret once, and works', async () => {
    const own = await bearer(acme)
    const wanted = { name: 'job', scopes: ['events:read'] }
    const made = (await (await ask('POST', '/v1/clients', own, wanted)).json()) as CreatedTenant
    const listed = await (await ask('GET', '/v1/clients', own)).text()
    expect(listed).toContain(made.clientId)
    expect(listed).not.toMatch(/cs_|secret/i)
    const greedy = { name: 'job', scopes: ['events:read', 'admin'] }
    expect(await status(ask('POST', '/v1/clients', own, greedy))).toBe(403)
    const weak = await bearer(made)
    expect(await status(ask('GET', '/v1/sources', weak))).toBe(200)
    expect(await status(ask('GET', '/v1/clients', weak))).toBe(403)
    expect(await status(ask('POST', '/v1/clients', weak, wanted))).toBe(403)
    expect(await status(ask('DELETE', `/v1/clients/${made.clientId}`, own))).toBe(204)
    expect(await status(ask('GET', '/v1/sources', weak))).toBe(401)
  })

  test('nobody removes a client that has more scopes than himself', async () => {
    const wanted = { name: 'keeper', scopes: ['events:admin'] }
    const made = await ask('POST', '/v1/clients', await bearer(root), wanted)
    const keeper = await bearer((await made.json()) as CreatedTenant)
    expect(await status(ask('DELETE', `/v1/clients/${root.clientId}`, keeper))).toBe(403)
  })

  test("another tenant's client is answered like an unknown one", async () => {
    const own = await bearer(acme)
    const theirs = await ask('DELETE', `/v1/clients/${root.clientId}`, own)
    const unknown = await ask('DELETE', '/v1/clients/cl_0000000000000000', own)
    expect(theirs.status).toBe(404)
    expect(await theirs.text()).toBe(await unknown.text())
    expect(store.client(root.clientId)).toBeDefined()
  })

  test('a source is made once, its origins in the spelling of browsers', async () => {
    const own = await bearer(acme)
    const wanted = { name: 'app', origins: ['HTTPS://Shop.Example:443/', 'http://[::1]:8080'] }
    const made = await ask('POST', '/v1/sources', own, wanted)
    expect(made.status).toBe(201)
    expect(await made.json()).toMatchObject({
      name: 'app',
      writeKey: expect.stringMatching(/^wk_[0-9a-f]{32}$/),
      origins: ['https://shop.example', 'http://[::1]:8080'],
    })
    expect(await status(ask('POST', '/v1/sources', own, wanted))).toBe(409)
    const put = await ask('PUT', '/v1/sources/app', own, { origins: [] })
    expect([put.status, await put.json()]).toMatchObject([200, { origins: [] }])
    const list = (await (await ask('GET', '/v1/sources', own)).json()) as Page
    expect(list.items.map((item) => item.name)).toEqual(['web', 'app'])
    const other = await bearer(root)
    expect(await status(ask('PUT', '/v1/sources/app', other, { origins: [] }))).toBe(404)
  })

  test.each([
    ['/v1/sources', { name: 'App' }, '/name'],
    ['/v1/sources', {}, '/name'],
    ['/v1/sources', { name: 'a', color: 1 }, '/color'],
    ['/v1/sources', { name: 'a', origins: ['https://a.example', 'a'] }, '/origins/1'],
    ['/v1/sources', { name: 'a', origins: ['https://a.example/x'] }, '/origins/0'],
    ['/v1/sources', { name: 'a', origins: ['https://u@a.example'] }, '/origins/0'],
    ['/v1/sources', { name: 'a', origins: ['https://*.example'] }, '/origins/0'],
    ['/v1/sources', { name: 'a', origins: ['null'] }, '/origins/0'],
    ['/v1/clients', { name: 'a', scopes: [] }, '/scopes'],
    ['/v1/clients', { name: 'a', scopes: ['root'] }, '/scopes/0'],
    ['/v1/clients', { name: 'a\n', scopes: ['sql:read'] }, '/name'],
    ['/v1/tenants', { tenantId: '../etc' }, '/tenantId'],
    ['/v1/tenants', [], ''],
  ])('POST %s %j is refused at %s', async (path, body, pointer) => {
    const answer = await ask('POST', path, await bearer(root), body)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(await answer.json()).toMatchObject({ code: 'invalid_request', pointer })
  })

  test('broken, long and foreign bodies are told apart', async () => {
    const own = await bearer(acme)
    const post = (body: string, type = 'application/json') =>
      status(ask('POST', '/v1/sources', { ...own, 'content-type': type }, body))
    expect(await post('{')).toBe(400)
    expect(await post('{}', 'text/plain')).toBe(415)
    expect(await post(`{"name":"${'a'.repeat(70_000)}"}`)).toBe(413)
  })

  test('without a credential every route is 401 with a challenge', async () => {
    for (const path of ['/v1/tenants', '/v1/clients', '/v1/sources']) {
      const answer = await ask('GET', path)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /)
    }
  })
})
