/**
 * `/openapi.json`: printed from the same schemas that validate, so it cannot say anything else.
 */
import { Batch, PROBLEMS, REJECTIONS } from '@millrace/protocol'
import { Hono } from 'hono'
import { type TSchema, Type } from 'typebox'
import { VERSION } from '../kit/version.ts'
import { QueryRequest } from '../query/routes.ts'
import { controlOpenapiPaths } from '../tenants/control-openapi.ts'
import { oauthOpenapiPaths } from '../tenants/oauth-routes.ts'
import { sessionOpenapiPaths } from '../tenants/session-routes.ts'
import { SCOPES } from '../tenants/tenant-store.ts'

const count = Type.Integer({ minimum: 0 })
const milliseconds = Type.Union([Type.Number(), Type.Null()])

const Acknowledged = Type.Object({
  batchId: Type.String(),
  accepted: count,
  rejected: Type.Array(
    Type.Object({
      index: count,
      code: Type.Enum(Object.keys(REJECTIONS)),
      detail: Type.String(),
      pointer: Type.String({ description: 'JSON pointer into the event' }),
    }),
  ),
  duplicate: Type.Boolean({ description: 'This batch was there already; nothing was changed' }),
})
const Answer = Type.Object({
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Unknown())),
  truncated: Type.Boolean(),
  stats: Type.Object({
    elapsedMs: Type.Number(),
    rowCount: count,
    lakeFiles: count,
    tailRecords: count,
    tailBytes: count,
  }),
})
const Account = Type.Object({
  received: count,
  accepted: count,
  rejected: count,
  duplicate: count,
  delivered: count,
  pending: count,
  undeliverable: count,
  suppressed: count,
  lagMs: milliseconds,
  flow: Type.Object({
    acceptMs: milliseconds,
    syncMs: milliseconds,
    queryMs: milliseconds,
  }),
})
const Health = Type.Object({
  status: Type.Literal('ok'),
  version: Type.String(),
  demo: Type.Boolean(),
})
const ProblemBody = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.Enum(Object.keys(PROBLEMS)),
  detail: Type.String(),
  hint: Type.String(),
  pointer: Type.Optional(Type.String()),
  retryAfterSeconds: Type.Optional(Type.Integer({ description: 'With 429 at the door' })),
  limit: Type.Optional(
    Type.Object({
      level: Type.Enum(['key', 'tenant', 'server']),
      unit: Type.Enum(['requests', 'bytes']),
      perSecond: count,
      remaining: count,
    }),
  ),
})

const json = (schema: TSchema) => ({ content: { 'application/json': { schema } } })
const refusals = (...statuses: readonly number[]) =>
  Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: Object.values(PROBLEMS)
          .filter((facts) => facts.status === status)
          .map(({ title }) => title)
          .join('; '),
        content: { 'application/problem+json': { schema: ProblemBody } },
      },
    ]),
  )

const query = (name: string, description: string) => ({
  name,
  in: 'query',
  required: false,
  description,
  schema: Type.String(),
})

const paths = {
  '/v1/events': {
    post: {
      summary: 'Send a batch: one event, an array, or an envelope',
      security: [{ writeKey: [] }, { writeKeyHeader: [] }, { bearer: ['events:write'] }],
      parameters: [
        query('key', 'Write key'),
        query('source', 'Source to write to, with a Bearer token'),
        {
          name: 'Idempotency-Key',
          in: 'header',
          required: false,
          description: 'Stands in for batchId of a bare event or array',
          schema: Type.String(),
        },
      ],
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: Batch },
          'text/plain': { schema: Type.String({ description: 'The same JSON, for beacons' }) },
        },
      },
      responses: {
        202: { description: 'On stable storage, but for the rejected ones', ...json(Acknowledged) },
        ...refusals(400, 401, 403, 413, 415, 429, 503),
      },
    },
  },
  '/v1/batch': {
    post: {
      summary: "Segment's batch of calls; write key by Basic, ?key= or writeKey",
      security: [{ basic: [] }, { writeKey: [] }],
      requestBody: { required: true, ...json(Type.Object({ batch: Type.Array(Type.Object({})) })) },
      responses: {
        202: { description: 'As /v1/events', ...json(Acknowledged) },
        ...refusals(400, 401, 403, 413, 415, 429, 503),
      },
    },
  },
  '/v1/query': {
    post: {
      summary: 'Run one SELECT over your events',
      security: [{ bearer: ['sql:read'] }, { session: [] }],
      requestBody: { required: true, ...json(QueryRequest) },
      responses: {
        200: {
          description: 'Rows; text/csv on request',
          content: {
            'application/json': { schema: Answer },
            'text/csv': { schema: Type.String() },
          },
        },
        ...refusals(400, 401, 403, 406, 422, 429),
      },
    },
  },
  '/v1/live': {
    get: {
      summary: 'What arrives, as server-sent events (at most 50 a second)',
      security: [{ bearer: ['events:read'] }, { session: [] }],
      responses: {
        200: {
          description: 'A stream',
          content: { 'text/event-stream': { schema: Type.String() } },
        },
        ...refusals(401, 403),
      },
    },
  },
  '/v1/ledger': {
    get: {
      summary: 'The account of your events',
      security: [{ bearer: ['events:read'] }, { session: [] }],
      responses: {
        200: { description: 'Counts of events', ...json(Account) },
        ...refusals(401, 403),
      },
    },
  },
  '/health': {
    get: {
      summary: 'The process answers',
      security: [],
      responses: { 200: { description: 'It does', ...json(Health) } },
    },
  },
  '/ready': {
    get: {
      summary: 'Events can be taken',
      security: [],
      responses: {
        200: { description: 'They can' },
        503: { description: 'They cannot; member why says what is wrong' },
      },
    },
  },
  '/metrics': {
    get: {
      summary: 'Counters for Prometheus',
      security: [],
      responses: {
        200: { description: 'Text format', content: { 'text/plain': { schema: Type.String() } } },
      },
    },
  },
  ...oauthOpenapiPaths,
  ...sessionOpenapiPaths,
  ...controlOpenapiPaths,
}

/** The document as seen from an address. */
export function openApiDocument(url: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version: VERSION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url }],
    paths,
    components: {
      securitySchemes: {
        writeKey: { type: 'apiKey', in: 'query', name: 'key' },
        writeKeyHeader: { type: 'apiKey', in: 'header', name: 'X-Write-Key' },
        basic: { type: 'http', scheme: 'basic', description: 'Write key as user, no password' },
        clientSecret: { type: 'http', scheme: 'basic', description: 'Client id and secret' },
        bearer: {
          type: 'oauth2',
          flows: {
            clientCredentials: {
              tokenUrl: `${url}/oauth/token`,
              scopes: Object.fromEntries(SCOPES.map((scope) => [scope, ''])),
            },
          },
        },
        session: { type: 'apiKey', in: 'cookie', name: 'millrace_session' },
      },
    },
  }
}

export function openApiRoutes(url: () => string): Hono {
  const app = new Hono()
  app.get('/openapi.json', (context) => context.json(openApiDocument(url())))
  return app
}
