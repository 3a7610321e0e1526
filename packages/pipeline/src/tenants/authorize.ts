/**
 * Who asks, for which tenant, and may they: the one gate before every route but ingest by write key.
 *
 * Two kinds of credential. A Bearer token names client and tenant by itself. A console session is a cookie
 * and may act for several tenants, so the request names one (`X-Millrace-Tenant`, or `?tenant=` for
 * EventSource, which cannot set headers), and an unsafe method must repeat what only our own page can
 * read (`X-CSRF-Token`). The tenant comes from the credential: a name in the request can only choose among
 * what was granted, and one outside of it gets the answer of one that does not exist.
 *
 * Scopes are read at every request: removing a client ends its tokens and logins at once.
 */
import { type Problem, problem } from '@millrace/protocol'
import type { Clock } from '../kit/clock.ts'
import { notFound, UNAUTHORIZED } from './refusals.ts'
import { hashSecret, isCsrf, SESSION_TOKEN_PATTERN } from './secrets.ts'
import type { Grant, Scope, Session, Tenant, TenantStore } from './tenant-store.ts'
import type { Tokens } from './tokens.ts'

export const SESSION_COOKIE = 'millrace_session'

/** What a request says about its sender. */
export interface RequestFacts {
  readonly method: string
  /** By lower-case name; several of one name joined by `, `. */
  header(name: string): string | undefined
  /** First value of a query parameter. */
  query(name: string): string | undefined
}

export interface Principal {
  readonly kind: 'client' | 'session'
  readonly tenant: Tenant
  readonly scopes: readonly Scope[]
  /** Absent for a session that a one-time link opened. */
  readonly clientId?: string
}

/** A Problem has no `kind`, a Principal always. Any one of the scopes in `need` is enough. */
export type Authorize = (
  facts: RequestFacts,
  need: Scope | readonly Scope[],
) => Promise<Principal | Problem>

export interface AuthorizeParts {
  readonly store: TenantStore
  readonly tokens: Tokens
  readonly clock: Clock
}

export function createAuthorize(parts: AuthorizeParts): Authorize {
  return async (facts, need) => {
    const who =
      facts.header('authorization') === undefined
        ? bySession(parts, facts)
        : await byToken(parts.tokens, facts)
    if (!('kind' in who)) return who
    const anyOf = typeof need === 'string' ? [need] : need
    if (anyOf.some((scope) => who.scopes.includes(scope))) return who
    return problem('forbidden', `this needs the scope ${anyOf.join(' or ')}`)
  }
}

/** A bad token is not rescued by a cookie beside it: one request, one credential. */
async function byToken(tokens: Tokens, facts: RequestFacts): Promise<Principal | Problem> {
  // Two Authorization headers arrive joined by a comma, which no token holds.
  const token = /^bearer +([^\s,]+)$/i.exec(facts.header('authorization') ?? '')?.[1]
  if (token === undefined) return UNAUTHORIZED
  const verified = await tokens.verify(token)
  if (typeof verified === 'string') return UNAUTHORIZED
  const { client, tenant, scopes } = verified
  const named = namedTenant(facts)
  if (named !== undefined && named !== tenant.tenantId) return notFound('tenant')
  return { kind: 'client', tenant, scopes, clientId: client.clientId }
}

function bySession(parts: AuthorizeParts, facts: RequestFacts): Principal | Problem {
  const found = findSession(parts, facts)
  if (found === undefined) return UNAUTHORIZED
  const refused = checkCsrf(found.token, facts)
  if (refused !== undefined) return refused
  const grants = liveGrants(parts.store, found.session)
  const named = namedTenant(facts)
  if (named === undefined && grants.length > 1) {
    return problem('invalid_request', `this session has ${grants.length} tenants`, {
      hint: 'Name one of them in the header X-Millrace-Tenant.',
    })
  }
  const grant = grants.find(({ tenant }) => named === undefined || named === tenant.tenantId)
  if (grant === undefined) return notFound('tenant')
  const { clientId } = found.session
  return { kind: 'session', ...grant, ...(clientId === null ? {} : { clientId }) }
}

/** GET, HEAD and OPTIONS change nothing; everything else must show the token of our own page. */
export function checkCsrf(sessionToken: string, facts: RequestFacts): Problem | undefined {
  if (['GET', 'HEAD', 'OPTIONS'].includes(facts.method)) return undefined
  if (isCsrf(sessionToken, facts.header('x-csrf-token') ?? '')) return undefined
  return problem('forbidden', 'the header X-CSRF-Token is missing or wrong', {
    hint: 'Send the csrf of GET /v1/session with every request that changes something.',
  })
}

/** The live session behind the cookie, with its token. */
export function findSession(
  { store, clock }: Pick<AuthorizeParts, 'store' | 'clock'>,
  facts: RequestFacts,
): { readonly token: string; readonly session: Session } | undefined {
  const values = (facts.header('cookie') ?? '')
    .split(/[;,]/)
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${SESSION_COOKIE}=`))
    .map((pair) => pair.slice(SESSION_COOKIE.length + 1))
  const token = values[0]
  // Two cookies of the name: a neighbouring host planted one, and nobody knows which.
  if (token === undefined || values.length > 1 || !SESSION_TOKEN_PATTERN.test(token)) return
  const session = store.session(hashSecret(token))
  if (session === undefined || session.expiresMs <= clock.now()) return undefined
  if (session.clientId !== null && store.client(session.clientId) === undefined) return undefined
  return { token, session }
}

export interface LiveGrant {
  readonly tenant: Tenant
  readonly scopes: Grant['scopes']
}

/** A session's grants whose tenants exist. */
export function liveGrants(store: TenantStore, session: Session): readonly LiveGrant[] {
  return session.grants.flatMap(({ tenantNo, scopes }) => {
    const tenant = store.tenantByNo(tenantNo)
    return tenant === undefined ? [] : [{ tenant, scopes }]
  })
}

function namedTenant(facts: RequestFacts): string | undefined {
  return facts.header('x-millrace-tenant') ?? facts.query('tenant')
}

export function factsOf(request: Request): RequestFacts {
  const { headers, method } = request
  let search: URLSearchParams | undefined
  return {
    method,
    header: (name) => headers.get(name) ?? undefined,
    query: (name) => {
      search ??= new URL(request.url).searchParams
      return search.get(name) ?? undefined
    },
  }
}
