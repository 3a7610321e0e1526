/**
 * `GET /v1/live`: what arrives, as server-sent events. `POST /v1/batch`: Segment's calls.
 *
 * The routes of the door that are not hot; they live on the framework.
 */
import type { Problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Clock } from '../kit/clock.ts'
import type { Tenant } from '../tenants/tenant-store.ts'
import { acceptBatch, type Door } from './accept-batch.ts'
import { ARRIVALS_PER_SECOND_MAX, type Arrival, type LiveFeed } from './live-feed.ts'
import type { Body } from './request-body.ts'
import { envelopeOfSegmentBatch } from './segment-batch.ts'

/** A comment line keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000
/** As on the hot route. */
const RETRY_AFTER_SECONDS = '2'
/** Arrivals that wait for one slow watcher: ten seconds of them. */
const WAITING_MAX = 10 * ARRIVALS_PER_SECOND_MAX

export interface LiveRoutes {
  readonly live: LiveFeed
  readonly door: Door
  readonly clock: Clock
  readonly authorize: (request: Request) => Promise<{ tenant: Tenant } | Problem>
  /** The request's body within the wire's limits. */
  readonly readBody: (request: Request) => Promise<Body>
}

export function liveRoutes({ live, door, clock, authorize, readBody }: LiveRoutes): Hono {
  const app = new Hono()

  app.get('/v1/live', async (context) => {
    const principal = await authorize(context.req.raw)
    if (!('tenant' in principal)) return problemResponse(principal)
    return streamSSE(context, async (stream) => {
      let wake: () => void = () => {}
      const waiting: Arrival[] = []
      const end = live.watch(principal.tenant.tenantNo, (arrival) => {
        // A watcher that does not read misses events; they are in SQL.
        if (waiting.length < WAITING_MAX) waiting.push(arrival)
        wake()
      })
      if (end === undefined) return stream.writeSSE({ event: 'busy', data: '{}' })
      stream.onAbort(() => {
        end()
        wake()
      })
      await stream.write(': open\n\n')
      while (!stream.aborted && !stream.closed) {
        for (const { kind, body } of waiting.splice(0)) {
          await stream.writeSSE({
            ...(kind === 'event' ? {} : { event: kind }),
            data: JSON.stringify(body),
          })
        }
        if (waiting.length > 0) continue
        const timer = setTimeout(() => wake(), HEARTBEAT_MS)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        clearTimeout(timer)
        if (waiting.length === 0 && !stream.aborted) await stream.write(': still here\n\n')
      }
    })
  })

  app.post('/v1/batch', async (context) => {
    const body = await readBody(context.req.raw)
    if (!body.ok) return problemResponse(body.problem)
    const translated = envelopeOfSegmentBatch(body.bytes, new Date(clock.now()).toISOString())
    if ('code' in translated) return problemResponse(translated)
    const headers = Object.fromEntries(context.req.raw.headers)
    const basic = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? '')?.[1]
    const keyOfBasic =
      basic === undefined ? undefined : Buffer.from(basic, 'base64').toString().split(':')[0]
    if (basic !== undefined) delete headers.authorization
    const outcome = await acceptBatch(door, {
      body: Buffer.from(translated.envelope),
      headers,
      writeKey: keyOfBasic ?? context.req.query('key') ?? translated.writeKey,
      sourceName: undefined,
      idempotencyKey: undefined,
    })
    return 'code' in outcome ? problemResponse(outcome) : context.json(outcome, 202)
  })
  return app
}

function problemResponse(body: Problem): Response {
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: {
      'Content-Type': 'application/problem+json',
      ...(body.status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
      ...(body.status === 429 || body.status === 503 ? { 'Retry-After': RETRY_AFTER_SECONDS } : {}),
    },
  })
}
