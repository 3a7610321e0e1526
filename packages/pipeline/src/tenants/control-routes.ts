/**
 * The control plane over HTTP: tenants of the deployment, clients and sources of a tenant.
 *
 * `admin` belongs to the deployment's first client and makes tenants. A tenant runs its own clients and
 * sources with `events:admin`. Nobody gives away or takes away more than he has: a client may be given
 * only scopes of its maker, and removed only by one who has all of its scopes. What belongs to another
 * tenant is answered like what does not exist.
 */
import { type Problem, problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { jsonResponse, problemResponse } from '../kit/responses.ts'
import { type Authorize, factsOf, type Principal } from './authorize.ts'
import { createClient, createSource, createTenant, type Makers } from './create-tenant.ts'
import { normalizeOrigin } from './origins.ts'
import { notFound } from './refusals.ts'
import { readJson } from './request-json.ts'
import {
  type Client,
  SCOPES,
  type Scope,
  SOURCE_NAME_PATTERN,
  type Source,
  TENANT_ID_PATTERN,
  type Tenant,
} from './tenant-store.ts'

export const TENANTS_MAX = 10_000
export const SOURCES_PER_TENANT_MAX = 200
export const CLIENTS_PER_TENANT_MAX = 200
export const ORIGINS_PER_SOURCE_MAX = 100

/** Who may see sources and clients, and who may change them. A write key is public anyway. */
const READ_SOURCES: readonly Scope[] = ['events:read', 'events:admin', 'admin']
const MANAGE: readonly Scope[] = ['events:admin', 'admin']

const name = () =>
  Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })
const origins = Type.Array(Type.String({ minLength: 1, maxLength: 300 }), {
  maxItems: ORIGINS_PER_SOURCE_MAX,
  description: 'scheme://host[:port]; empty: any origin may send',
})
const closed = { additionalProperties: false } as const
const scope = () => Type.Enum([...SCOPES])

export const TenantRequest = Type.Object(
  { tenantId: Type.String({ pattern: TENANT_ID_PATTERN.source }), name: Type.Optional(name()) },
  closed,
)
export const ClientRequest = Type.Object(
  {
    name: name(),
    scopes: Type.Array(scope(), { minItems: 1, maxItems: SCOPES.length, uniqueItems: true }),
  },
  closed,
)
export const SourceRequest = Type.Object(
  { name: Type.String({ pattern: SOURCE_NAME_PATTERN.source }), origins: Type.Optional(origins) },
  closed,
)
export const OriginsRequest = Type.Object({ origins }, closed)

export const TenantAnswer = Type.Object({
  tenantId: Type.String(),
  name: Type.String(),
  synthetic: Type.Boolean(),
  createdMs: Type.Integer(),
})
export const CreatedTenantAnswer = Type.Object({
  tenantId: Type.String(),
  writeKey: Type.String(),
  clientId: Type.String(),
  clientSecret: Type.String({ description: 'Shown once' }),
})
const clientMembers = {
  clientId: Type.String(),
  name: Type.String(),
  scopes: Type.Array(scope()),
  createdMs: Type.Integer(),
}
export const ClientAnswer = Type.Object(clientMembers)
export const CreatedClientAnswer = Type.Object({
  ...clientMembers,
  clientSecret: Type.String({ description: 'Shown once' }),
})
export const SourceAnswer = Type.Object({
  name: Type.String(),
  writeKey: Type.String(),
  origins: Type.Array(Type.String()),
  createdMs: Type.Integer(),
})

const tenantRequest = Compile(TenantRequest)
const clientRequest = Compile(ClientRequest)
const sourceRequest = Compile(SourceRequest)
const originsRequest = Compile(OriginsRequest)

export interface ControlParts extends Makers {
  readonly authorize: Authorize
}

export function controlRoutes(parts: ControlParts): Hono {
  const app = new Hono()
  tenantRoutes(app, parts)
  clientRoutes(app, parts)
  sourceRoutes(app, parts)
  return app
}

function tenantRoutes(app: Hono, parts: ControlParts): void {
  const { store, authorize } = parts
  app.get('/v1/tenants', async (context) => {
    const who = await authorize(factsOf(context.req.raw), 'admin')
    if (!('kind' in who)) return problemResponse(who)
    return list(store.tenants().map(tenantFacts))
  })
  app.post('/v1/tenants', async (context) => {
    const who = await authorize(factsOf(context.req.raw), 'admin')
    if (!('kind' in who)) return problemResponse(who)
    const body = await readJson(context.req.raw, tenantRequest)
    if ('problem' in body) return problemResponse(body.problem)
    if (store.tenants().length >= TENANTS_MAX) return full('the deployment', TENANTS_MAX, 'tenants')
    const created = await createTenant(parts, body.value)
    const { tenantId } = body.value
    if (created === 'exists') return taken('tenantId', `tenant ${tenantId}`)
    const { writeKey, clientId, clientSecret } = created
    return jsonResponse({ tenantId, writeKey, clientId, clientSecret }, 201)
  })
}

function clientRoutes(app: Hono, parts: ControlParts): void {
  const { store, authorize } = parts
  app.get('/v1/clients', async (context) => {
    const who = await authorize(factsOf(context.req.raw), MANAGE)
    if (!('kind' in who)) return problemResponse(who)
    return list(store.clients(who.tenant.tenantNo).map(clientFacts))
  })
  app.post('/v1/clients', async (context) => {
    const who = await authorize(factsOf(context.req.raw), MANAGE)
    if (!('kind' in who)) return problemResponse(who)
    const body = await readJson(context.req.raw, clientRequest)
    if ('problem' in body) return problemResponse(body.problem)
    const refused = beyond(who, body.value.scopes as Scope[])
    if (refused !== undefined) return problemResponse(refused)
    const { tenantNo, tenantId } = who.tenant
    if (store.clients(tenantNo).length >= CLIENTS_PER_TENANT_MAX) {
      return full(`tenant ${tenantId}`, CLIENTS_PER_TENANT_MAX, 'clients')
    }
    const wanted = { tenantNo, name: body.value.name, scopes: body.value.scopes as Scope[] }
    const { client, clientSecret } = await createClient(parts, wanted)
    return jsonResponse({ ...clientFacts(client), clientSecret }, 201)
  })
  app.delete('/v1/clients/:clientId', async (context) => {
    const who = await authorize(factsOf(context.req.raw), MANAGE)
    if (!('kind' in who)) return problemResponse(who)
    const { tenantNo } = who.tenant
    const client = store.client(context.req.param('clientId'))
    if (client === undefined || client.tenantNo !== tenantNo) {
      return problemResponse(notFound('client'))
    }
    const refused = beyond(who, client.scopes)
    if (refused !== undefined) return problemResponse(refused)
    await store.removeClient(tenantNo, client.clientId)
    return new Response(null, { status: 204 })
  })
}

function sourceRoutes(app: Hono, parts: ControlParts): void {
  const { store, authorize } = parts
  app.get('/v1/sources', async (context) => {
    const who = await authorize(factsOf(context.req.raw), READ_SOURCES)
    if (!('kind' in who)) return problemResponse(who)
    return list(store.sources(who.tenant.tenantNo).map(sourceFacts))
  })
  app.post('/v1/sources', async (context) => {
    const who = await authorize(factsOf(context.req.raw), MANAGE)
    if (!('kind' in who)) return problemResponse(who)
    const body = await readJson(context.req.raw, sourceRequest)
    if ('problem' in body) return problemResponse(body.problem)
    const allowed = normalizeOrigins(body.value.origins ?? [])
    if ('problem' in allowed) return problemResponse(allowed.problem)
    const { tenantNo, tenantId } = who.tenant
    if (store.sources(tenantNo).length >= SOURCES_PER_TENANT_MAX) {
      return full(`tenant ${tenantId}`, SOURCES_PER_TENANT_MAX, 'sources')
    }
    const wanted = { tenantNo, name: body.value.name, origins: allowed.origins }
    const created = await createSource(parts, wanted)
    if (created === 'exists') return taken('name', `source ${wanted.name}`)
    return jsonResponse(sourceFacts(created), 201)
  })
  app.put('/v1/sources/:name', async (context) => {
    const who = await authorize(factsOf(context.req.raw), MANAGE)
    if (!('kind' in who)) return problemResponse(who)
    const body = await readJson(context.req.raw, originsRequest)
    if ('problem' in body) return problemResponse(body.problem)
    const allowed = normalizeOrigins(body.value.origins)
    if ('problem' in allowed) return problemResponse(allowed.problem)
    const { tenantNo } = who.tenant
    const wanted = context.req.param('name')
    const found = store.sources(tenantNo).find((source) => source.name === wanted)
    const changed = found && (await store.setOrigins(tenantNo, found.sourceNo, allowed.origins))
    if (changed === undefined) return problemResponse(notFound('source'))
    return jsonResponse(sourceFacts(changed))
  })
}

/** Everything fits one page: each list has a limit above. */
const list = (items: readonly object[]): Response => jsonResponse({ items, nextCursor: null })

const tenantFacts = ({ tenantId, name, synthetic, createdMs }: Tenant) => ({
  tenantId,
  name,
  synthetic,
  createdMs,
})
const clientFacts = ({ clientId, name, scopes, createdMs }: Client) => ({
  clientId,
  name,
  scopes,
  createdMs,
})
const sourceFacts = ({ name, writeKey, origins, createdMs }: Source) => ({
  name,
  writeKey,
  origins,
  createdMs,
})

function beyond(who: Principal, scopes: readonly Scope[]): Problem | undefined {
  const missing = scopes.filter((scope) => !who.scopes.includes(scope))
  if (missing.length === 0) return undefined
  return problem('forbidden', `you do not have the scopes of that client: ${missing.join(' ')}`)
}

function taken(member: string, what: string): Response {
  return problemResponse(problem('conflict', `${what} exists`, { pointer: `/${member}` }))
}

function full(whose: string, countMax: number, what: string): Response {
  const hint = 'Remove some that are not used.'
  return problemResponse(problem('conflict', `${whose} has ${countMax} ${what} already`, { hint }))
}

function normalizeOrigins(
  given: readonly string[],
): { readonly origins: readonly string[] } | { readonly problem: Problem } {
  const unique = new Set<string>()
  for (const [index, text] of given.entries()) {
    const origin = normalizeOrigin(text)
    if (origin === undefined) {
      const detail = `${JSON.stringify(text)} is no origin: scheme://host[:port]`
      return { problem: problem('invalid_request', detail, { pointer: `/origins/${index}` }) }
    }
    unique.add(origin)
  }
  return { origins: [...unique] }
}
