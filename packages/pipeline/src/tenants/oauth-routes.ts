/**
 * The authorization server: client credentials in (RFC 6749 §4.4), access token out.
 *
 * A secret is taken from HTTP Basic or from the form, never from the address, which ends up in logs. An
 * unknown client and a wrong secret cost the same and get the same answer. Errors are RFC 6749 §5.2's, not
 * problem+json: OAuth libraries read them.
 */
import { Hono } from 'hono'
import type { Clock } from '../kit/clock.ts'
import { jsonResponse } from '../kit/responses.ts'
import { createFailureLimit } from './failure-limit.ts'
import { readBytes } from './request-json.ts'
import { isSecret } from './secrets.ts'
import type { SigningKeys } from './signing-keys.ts'
import { type Client, SCOPES, type TenantStore } from './tenant-store.ts'
import { parseScopes, TOKEN_LIFE_S, type Tokens } from './tokens.ts'

/** A token request is some 200 bytes. */
export const TOKEN_REQUEST_BYTES_MAX = 8_192

export interface OAuthParts {
  readonly store: TenantStore
  readonly tokens: Tokens
  readonly keys: SigningKeys
  /** The same as the tokens'. */
  readonly issuer: () => string
  readonly clock: Clock
}

export function oauthRoutes(parts: OAuthParts): Hono {
  const { store, tokens, keys, issuer, clock } = parts
  const failures = createFailureLimit(clock)
  const app = new Hono()

  app.post('/oauth/token', async (context) => {
    const form = await readForm(context.req.raw)
    if ('error' in form) return refuse(400, 'invalid_request', form.error)
    const sent = readCredentials(context.req.header('authorization'), form)
    if ('error' in sent) return refuse(400, 'invalid_request', sent.error)

    const client = store.client(sent.clientId)
    if (!isSecret(client?.secretHash, sent.clientSecret) || client === undefined) {
      const waitS = failures.fail(sent.clientId)
      if (waitS !== undefined) {
        return refuse(429, 'slow_down', `wait ${waitS} s`, { 'Retry-After': String(waitS) })
      }
      return refuse(401, 'invalid_client', 'the client is unknown or its secret is wrong', {
        'WWW-Authenticate': 'Basic realm="millrace"',
      })
    }
    return grant(client, form)
  })

  async function grant(client: Client, form: Form): Promise<Response> {
    const grantType = form.values.get('grant_type')
    if (grantType === undefined) return refuse(400, 'invalid_request', 'grant_type is missing')
    if (grantType !== 'client_credentials') {
      return refuse(400, 'unsupported_grant_type', 'only client_credentials is taken')
    }
    const asked = form.values.get('scope')
    const scopes = asked === undefined ? client.scopes : parseScopes(asked)
    const isGranted = scopes?.every((scope) => client.scopes.includes(scope)) ?? false
    if (scopes === undefined || !isGranted || scopes.length === 0) {
      const own = client.scopes.join(' ')
      return refuse(400, 'invalid_scope', `this client has the scopes: ${own}`)
    }
    return jsonResponse(
      {
        access_token: await tokens.issue(client, scopes),
        token_type: 'Bearer',
        expires_in: TOKEN_LIFE_S,
        scope: scopes.join(' '),
      },
      200,
      { Pragma: 'no-cache' },
    )
  }

  app.all('/oauth/token', () =>
    refuse(405, 'invalid_request', 'the token endpoint takes POST', { Allow: 'POST' }),
  )
  app.get('/.well-known/oauth-authorization-server', (context) =>
    context.json(metadata(issuer()), 200, { 'Cache-Control': 'max-age=600' }),
  )
  app.get('/.well-known/jwks.json', (context) =>
    context.json(keys.jwks, 200, { 'Cache-Control': 'max-age=600' }),
  )
  return app
}

/** RFC 8414 §2; `response_types_supported` is required there, and there is no front channel here. */
function metadata(issuer: string): object {
  return {
    issuer,
    token_endpoint: `${issuer}/oauth/token`,
    jwks_uri: `${issuer}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    scopes_supported: SCOPES,
  }
}

interface Form {
  readonly values: ReadonlyMap<string, string>
}
type Fault = { readonly error: string }

async function readForm(request: Request): Promise<Form | Fault> {
  const mediaType = (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  if (mediaType !== 'application/x-www-form-urlencoded') {
    return { error: 'the content type must be application/x-www-form-urlencoded' }
  }
  const query = new URL(request.url).searchParams
  for (const name of ['client_id', 'client_secret', 'grant_type']) {
    if (query.has(name)) return { error: `${name} belongs into the body, not into the address` }
  }
  const bytes = await readBytes(request, TOKEN_REQUEST_BYTES_MAX)
  if (bytes === undefined) return { error: `more than ${TOKEN_REQUEST_BYTES_MAX} bytes` }
  const values = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(Buffer.from(bytes).toString('utf8'))) {
    // RFC 6749 §3.2: never twice; and a parameter without a value counts as left out.
    if (values.has(name)) return { error: 'a parameter is given twice' }
    if (value !== '') values.set(name, value)
  }
  return { values }
}

interface Credentials {
  readonly clientId: string
  readonly clientSecret: string
}

/** RFC 6749 §2.3.1: Basic with both parts form-encoded, or the form; not both ways in one request. */
function readCredentials(header: string | undefined, { values }: Form): Credentials | Fault {
  const clientId = values.get('client_id')
  const clientSecret = values.get('client_secret')
  if (header === undefined) return { clientId: clientId ?? '', clientSecret: clientSecret ?? '' }
  if (clientSecret !== undefined) return { error: 'two ways of authentication in one request' }
  // Another scheme or broken Basic is a failed authentication: it goes on to fail as one.
  const basic = parseBasic(header) ?? { clientId: '', clientSecret: '' }
  if (clientId !== undefined && clientId !== basic.clientId) {
    return { error: 'client_id differs from the one in Authorization' }
  }
  return basic
}

function parseBasic(header: string): Credentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header)?.[1]
  if (encoded === undefined) return undefined
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  if (colon < 0) return undefined
  try {
    const decode = (part: string) => decodeURIComponent(part.replaceAll('+', ' '))
    return { clientId: decode(pair.slice(0, colon)), clientSecret: decode(pair.slice(colon + 1)) }
  } catch {
    return undefined
  }
}

function refuse(
  status: number,
  error: string,
  description: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return jsonResponse({ error, error_description: description }, status, headers)
}

export const oauthOpenapiPaths = {
  '/oauth/token': {
    post: {
      summary: 'Access token for a client (RFC 6749 section 4.4)',
      security: [{ clientSecret: [] }],
      requestBody: {
        required: true,
        content: {
          'application/x-www-form-urlencoded': {
            schema: {
              type: 'object',
              required: ['grant_type'],
              properties: {
                grant_type: { const: 'client_credentials' },
                scope: { type: 'string', description: 'Separated by blanks; default: all it has' },
                client_id: { type: 'string' },
                client_secret: { type: 'string' },
              },
            },
          },
        },
      },
      responses: {
        200: {
          description: 'The token',
          content: {
            'application/json': {
              schema: {
                type: 'object',
                required: ['access_token', 'token_type', 'expires_in', 'scope'],
                properties: {
                  access_token: { type: 'string' },
                  token_type: { const: 'Bearer' },
                  expires_in: { type: 'integer', description: 'Seconds' },
                  scope: { type: 'string' },
                },
              },
            },
          },
        },
        400: { description: 'RFC 6749 section 5.2' },
        401: { description: 'invalid_client' },
        429: { description: 'Too many wrong secrets; wait as Retry-After says' },
      },
    },
  },
  '/.well-known/oauth-authorization-server': {
    get: {
      summary: 'Metadata of the authorization server (RFC 8414)',
      security: [],
      responses: { 200: { description: 'Metadata' } },
    },
  },
  '/.well-known/jwks.json': {
    get: {
      summary: 'Public keys of the access tokens (RFC 7517)',
      security: [],
      responses: { 200: { description: 'Key set' } },
    },
  },
} as const
