/**
 * `GET /v1/live`: what arrives, as server-sent events, for people who watch. It may skip, SQL does not.
 */
import type { Problem } from '@millrace/protocol'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { problemResponse } from '../kit/responses.ts'
import type { Tenant } from '../tenants/tenant-store.ts'
import { ARRIVALS_PER_SECOND_MAX, type Arrival, type LiveFeed } from './live-feed.ts'

/** A comment line keeps proxies from closing a quiet stream. */
const HEARTBEAT_MS = 15_000
/** Arrivals that wait for one slow watcher: ten seconds of them. */
const WAITING_MAX = 10 * ARRIVALS_PER_SECOND_MAX

export interface LiveRoutes {
  readonly live: LiveFeed
  /** When it aborts, every stream ends: a server that stops waits for no watcher. */
  readonly stopping: AbortSignal
  readonly authorize: (request: Request) => Promise<{ tenant: Tenant } | Problem>
}

export function liveRoutes({ live, stopping, authorize }: LiveRoutes): Hono {
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
      const wakeToEnd = () => wake()
      stopping.addEventListener('abort', wakeToEnd)
      await stream.write(': open\n\n')
      while (!stream.aborted && !stream.closed && !stopping.aborted) {
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
      stopping.removeEventListener('abort', wakeToEnd)
      end()
    })
  })
  return app
}
