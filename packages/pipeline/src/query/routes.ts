/**
 * `POST /v1/query`: SQL in, JSON or CSV out.
 *
 * The tenant comes from the verified credential alone (`authorize` is the server's); nothing in the
 * body can name another. The rows were rendered by the query process and pass through as bytes.
 */
import { type Problem, problem } from '@millrace/protocol'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { type Static, Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { PRIVATE, problemResponse } from '../kit/responses.ts'
import type { Scope } from '../tenants/tenant-store.ts'
import type { RunSql, SqlResult } from './run-sql.ts'

/** A page of dense SQL is 4 KiB; generated lists of values need the rest. */
export const SQL_LENGTH_MAX = 65_536
export const PARAMETER_COUNT_MAX = 100
export const PARAMETER_LENGTH_MAX = 8_192
export const ROW_COUNT_DEFAULT = 1_000
export const ROW_COUNT_MAX = 10_000
export const TIMEOUT_DEFAULT_MS = 10_000
export const TIMEOUT_MAX_MS = 60_000
/** The statement and its parameters, escaped as JSON at their largest usual: \uXXXX is six for one. */
const BODY_BYTES_MAX = 1_048_576

const Parameter = Type.Union([
  Type.String({ maxLength: PARAMETER_LENGTH_MAX }),
  Type.Number(),
  Type.Boolean(),
  Type.Null(),
])

export const QueryRequest = Type.Object(
  {
    sql: Type.String({ minLength: 1, maxLength: SQL_LENGTH_MAX, description: 'One SELECT' }),
    parameters: Type.Optional(
      Type.Union([
        Type.Array(Parameter, { maxItems: PARAMETER_COUNT_MAX, description: 'For ? and $1' }),
        Type.Record(Type.String(), Parameter, {
          maxProperties: PARAMETER_COUNT_MAX,
          description: 'For $name',
        }),
      ]),
    ),
    maxRows: Type.Optional(
      Type.Integer({ minimum: 1, maximum: ROW_COUNT_MAX, default: ROW_COUNT_DEFAULT }),
    ),
    timeoutMs: Type.Optional(
      Type.Integer({ minimum: 1, maximum: TIMEOUT_MAX_MS, default: TIMEOUT_DEFAULT_MS }),
    ),
  },
  { additionalProperties: false },
)
export type QueryRequest = Static<typeof QueryRequest>

const checker = Compile(QueryRequest)

export type Authorize = (
  request: Request,
  scope: Scope,
) => Promise<
  { readonly tenant: { readonly tenantNo: number; readonly tenantId: string } } | Problem
>

export interface QueryRouteParts {
  readonly run: RunSql
  readonly authorize: Authorize
  /** A fault of ours: the answer was 500. */
  readonly failed: (error: unknown) => void
}

/** Mount at the root. */
export function queryRoutes({ run, authorize, failed }: QueryRouteParts): Hono {
  const app = new Hono()
  const limit = bodyLimit({
    maxSize: BODY_BYTES_MAX,
    onError: () => problemResponse(problem('body_too_large', `more than ${BODY_BYTES_MAX} bytes`)),
  })
  app.post('/v1/query', limit, async (context) => {
    const who = await authorize(context.req.raw, 'sql:read')
    if (!('tenant' in who)) return problemResponse(who)
    const accept = context.req.header('accept')
    const format = formatOf(accept)
    if (format === undefined) return problemResponse(problem('not_acceptable', `Accept: ${accept}`))
    const asked = await readRequest(context)
    if ('status' in asked) return problemResponse(asked)
    const { sql, parameters = [], maxRows = ROW_COUNT_DEFAULT } = asked
    const { timeoutMs = TIMEOUT_DEFAULT_MS } = asked
    const request = { tenant: who.tenant, sql, parameters, format, maxRows, timeoutMs }
    try {
      const outcome = await run(request, context.req.raw.signal)
      if ('problem' in outcome) return problemResponse(outcome.problem)
      return format === 'csv' ? answerCsv(outcome) : answerJson(outcome)
    } catch (error) {
      failed(error)
      return problemResponse(problem('internal', 'the query could not be run'))
    }
  })
  return app
}

async function readRequest(context: Context): Promise<QueryRequest | Problem> {
  const type = context.req.header('content-type') ?? ''
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    return problem('unsupported_media_type', `Content-Type: ${type}`, {
      hint: 'Send application/json.',
    })
  }
  const text = await context.req.text()
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (error) {
    return problem('malformed_json', (error as Error).message, {
      hint: 'Send {"sql": "SELECT …"}.',
    })
  }
  if (checker.Check(body)) return body
  const [first] = checker.Errors(body)
  const pointer = first?.instancePath ?? ''
  return problem('invalid_request', `${pointer || 'the body'}: ${first?.message}`, { pointer })
}

/** The first acceptable of the client's types, the most wanted first; undefined when there is none. */
function formatOf(accept: string | undefined): 'json' | 'csv' | undefined {
  const wanted = (accept ?? '*/*')
    .split(',')
    .map((item) => {
      const [type = '', ...parameters] = item.split(';').map((part) => part.trim().toLowerCase())
      const quality = parameters.find((parameter) => parameter.startsWith('q='))
      return { type, quality: quality === undefined ? 1 : Number(quality.slice(2)) }
    })
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality)
  for (const { type } of wanted) {
    if (['*/*', 'application/*', 'application/json'].includes(type)) return 'json'
    if (['text/*', 'text/csv'].includes(type)) return 'csv'
  }
  return undefined
}

function answerJson({ columns, body, truncated, stats }: SqlResult): Response {
  const bytes = Buffer.concat([
    Buffer.from(`{"columns":${JSON.stringify(columns)},"rows":`),
    body,
    Buffer.from(`,"truncated":${truncated},"stats":${JSON.stringify(stats)}}\n`),
  ])
  return new Response(bytes, { headers: { ...PRIVATE, 'Content-Type': 'application/json' } })
}

function answerCsv({ body, truncated }: SqlResult): Response {
  return new Response(Buffer.from(body), {
    headers: {
      ...PRIVATE,
      'Content-Type': 'text/csv; charset=utf-8; header=present',
      'Content-Disposition': 'attachment; filename="query.csv"',
      'X-Truncated': String(truncated),
    },
  })
}
