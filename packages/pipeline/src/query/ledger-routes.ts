/**
 * `GET /v1/ledger`: a tenant's account. Every event that was received is in one of its columns.
 *
 *   received = accepted + rejected + duplicate        accepted = delivered + pending
 *
 * Accepted and rejected are counted from the log's durable records, delivered from the lake's own
 * snapshot, pending from the log beyond it: three independent places, so that the sums are a check.
 * Duplicates change nothing on disk and are counted since the server started.
 */
import { Hono } from 'hono'
import { jsonResponse, problemResponse } from '../kit/responses.ts'
import type { LogReader } from '../log/event-log.ts'
import type { Authorize } from './routes.ts'

/** Recent medians in milliseconds; null before the first. */
export interface Flow {
  readonly acceptMs: number | null
  readonly syncMs: number | null
  readonly queryMs: number | null
}

export interface LedgerParts {
  readonly log: LogReader
  /** Events in the lake's table `events`, and the log offset up to which they are there. */
  readonly delivered: (
    tenantId: string,
  ) => Promise<{ readonly events: number; readonly nextOffset: number }>
  readonly duplicates: (tenantNo: number) => number
  readonly flow: () => Flow
  readonly now: () => number
  readonly authorize: Authorize
}

export interface Ledger {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  readonly duplicate: number
  readonly delivered: number
  readonly pending: number
  readonly flow: Flow & { readonly lakeMs: number | null }
}

export async function ledgerOf(
  parts: Omit<LedgerParts, 'authorize'>,
  tenant: { tenantNo: number; tenantId: string },
): Promise<Ledger> {
  // The lake first: what is delivered between the two readings is then counted as pending, not twice.
  const { events, nextOffset } = await parts.delivered(tenant.tenantId)
  const { acceptedCount, rejectedCount } = parts.log.totals(tenant.tenantNo)
  const pending = parts.log.pending(tenant.tenantNo, nextOffset)
  const duplicate = parts.duplicates(tenant.tenantNo)
  return {
    received: acceptedCount + rejectedCount + duplicate,
    accepted: acceptedCount,
    rejected: rejectedCount,
    duplicate,
    delivered: events,
    pending: pending.eventCount,
    flow: {
      ...parts.flow(),
      lakeMs:
        pending.oldestReceivedMs === null
          ? null
          : Math.max(0, parts.now() - pending.oldestReceivedMs),
    },
  }
}

export function ledgerRoutes(parts: LedgerParts): Hono {
  const app = new Hono()
  app.get('/v1/ledger', async (context) => {
    const who = await parts.authorize(context.req.raw, 'events:read')
    if (!('tenant' in who)) return problemResponse(who)
    return jsonResponse(await ledgerOf(parts, who.tenant))
  })
  return app
}
