/**
 * Login of the console: a cookie that no script can read, and a token that only our own page can.
 *
 * Logging in takes JSON, which a form on another site cannot send, and every answer carries the CSRF token
 * that later requests must show. A login with a client's secret acts for the client's tenant; one with a
 * one-time link for whatever the link was made for.
 */
import { problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Clock, Random } from '../kit/clock.ts'
import { jsonResponse, problemResponse } from '../kit/responses.ts'
import { checkCsrf, factsOf, findSession, liveGrants, SESSION_COOKIE } from './authorize.ts'
import { createFailureLimit } from './failure-limit.ts'
import type { Links } from './links.ts'
import { UNAUTHORIZED } from './refusals.ts'
import { readJson } from './request-json.ts'
import { csrfOf, hashSecret, isSecret, newSessionToken } from './secrets.ts'
import { type Grant, SCOPES, type Session, type TenantStore } from './tenant-store.ts'

/** A working day with its evening. */
export const SESSION_LIFE_MS = 12 * 3_600_000

const text = () => Type.String({ minLength: 1, maxLength: 128 })
export const SessionRequest = Type.Object(
  {
    clientId: Type.Optional(text()),
    clientSecret: Type.Optional(text()),
    link: Type.Optional(text()),
  },
  { additionalProperties: false, description: 'Either clientId and clientSecret, or link' },
)
export const SessionAnswer = Type.Object({
  csrf: Type.String({ description: 'For the header X-CSRF-Token' }),
  tenants: Type.Array(
    Type.Object({
      tenantId: Type.String(),
      name: Type.String(),
      synthetic: Type.Boolean(),
      scopes: Type.Array(Type.Enum([...SCOPES])),
    }),
  ),
  expiresMs: Type.Integer(),
})
const requestValidator = Compile(SessionRequest)

export interface SessionParts {
  readonly store: TenantStore
  readonly links: Links
  readonly clock: Clock
  readonly random: Random
  /** Whether the browser reached us by https (a proxy may end it); default: by the request's URL. */
  readonly isHttps?: (request: Request) => boolean
}

export function sessionRoutes(parts: SessionParts): Hono {
  const { store, clock, random } = parts
  const isHttps = parts.isHttps ?? ((request) => new URL(request.url).protocol === 'https:')
  const failures = createFailureLimit(clock)
  const app = new Hono()

  app.post('/v1/session', async (context) => {
    const body = await readJson(context.req.raw, requestValidator)
    if ('problem' in body) return problemResponse(body.problem)
    const login = logIn(parts, body.value)
    if (login === 'unclear') {
      const detail = 'send clientId and clientSecret, or link'
      return problemResponse(problem('invalid_request', detail, { pointer: '' }))
    }
    if (login === undefined) {
      const waitS = failures.fail(body.value.clientId ?? '')
      if (waitS === undefined) return problemResponse(UNAUTHORIZED)
      return problemResponse(problem('too_many_requests', `wait ${waitS} s`), {
        'Retry-After': String(waitS),
      })
    }
    const token = newSessionToken(random)
    const nowMs = clock.now()
    const expiresMs = nowMs + SESSION_LIFE_MS
    const session = { ...login, tokenHash: hashSecret(token), expiresMs }
    await store.addSession(session, nowMs)
    return jsonResponse(answer(token, session), 200, {
      'Set-Cookie': cookie(token, SESSION_LIFE_MS / 1_000, isHttps(context.req.raw)),
    })
  })

  app.get('/v1/session', (context) => {
    const found = findSession(parts, factsOf(context.req.raw))
    if (found === undefined) return problemResponse(UNAUTHORIZED)
    return jsonResponse(answer(found.token, found.session))
  })

  app.delete('/v1/session', async (context) => {
    const facts = factsOf(context.req.raw)
    const found = findSession(parts, facts)
    if (found === undefined) return problemResponse(UNAUTHORIZED)
    const refused = checkCsrf(found.token, facts)
    if (refused !== undefined) return problemResponse(refused)
    await store.removeSession(found.session.tokenHash)
    const headers = { 'Set-Cookie': cookie('', 0, isHttps(context.req.raw)) }
    return new Response(null, { status: 204, headers })
  })

  function answer(token: string, session: Session): Static<typeof SessionAnswer> {
    const tenants = liveGrants(store, session).map(({ tenant, scopes }) => ({
      tenantId: tenant.tenantId,
      name: tenant.name,
      synthetic: tenant.synthetic,
      scopes: [...scopes],
    }))
    return { csrf: csrfOf(token), tenants, expiresMs: session.expiresMs }
  }

  return app
}

type Login = { readonly clientId: string | null; readonly grants: readonly Grant[] }

function logIn(
  { store, links }: SessionParts,
  { clientId, clientSecret, link }: Static<typeof SessionRequest>,
): Login | 'unclear' | undefined {
  if (link !== undefined) {
    if (clientId !== undefined || clientSecret !== undefined) return 'unclear'
    const grants = links.take(link)
    return grants === undefined ? undefined : { clientId: null, grants }
  }
  if (clientId === undefined || clientSecret === undefined) return 'unclear'
  const client = store.client(clientId)
  if (!isSecret(client?.secretHash, clientSecret) || client === undefined) return undefined
  return { clientId, grants: [{ tenantNo: client.tenantNo, scopes: client.scopes }] }
}

function cookie(token: string, lifeS: number, secure: boolean): string {
  const attributes = `Path=/; Max-Age=${lifeS}; HttpOnly; SameSite=Strict`
  return `${SESSION_COOKIE}=${token}; ${attributes}${secure ? '; Secure' : ''}`
}

const answered = {
  200: {
    description: 'Logged in',
    content: { 'application/json': { schema: SessionAnswer } },
  },
  401: { description: 'No valid credential' },
} as const

export const sessionOpenapiPaths = {
  '/v1/session': {
    post: {
      summary: 'Log in to the console',
      security: [],
      requestBody: { required: true, content: { 'application/json': { schema: SessionRequest } } },
      responses: { ...answered, 429: { description: 'Too many wrong secrets' } },
    },
    get: {
      summary: 'The login behind the cookie',
      security: [{ session: [] }],
      responses: answered,
    },
    delete: {
      summary: 'Log out',
      security: [{ session: [] }],
      responses: { 204: { description: 'Logged out' }, 401: answered[401] },
    },
  },
} as const
