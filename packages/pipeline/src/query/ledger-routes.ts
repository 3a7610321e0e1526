/**
 * `GET /v1/ledger`: a tenant's account. Every event that was received is in one of its columns.
 *
 *   received = accepted + rejected + duplicate
 *   accepted = delivered + pending + undeliverable + suppressed
 *
 * Accepted and rejected are counted from the log's durable records; delivered are the lake's rows, and
 * what became no row is counted in the same snapshot; pending is the log beyond it. Three independent
 * places, so that the second sum is a check. Duplicates of the door change nothing on disk: their
 * count is saved apart, and a crash may cost its last seconds.
 */
import { Hono } from 'hono'
import { jsonResponse, problemResponse } from '../kit/responses.ts'
import type { LeftEvents } from '../lake/progress.ts'
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
  /** Of one snapshot of `events`. */
  readonly delivered: (tenantId: string) => Promise<Delivered>
  readonly duplicates: (tenantNo: number) => number
  readonly flow: () => Flow
  readonly now: () => number
  readonly authorize: Authorize
}

export interface Delivered {
  /** Rows. */
  readonly events: number
  /** The log offset up to which they are there. */
  readonly nextOffset: number
  /** Accepted events below it that are no rows. */
  readonly left: LeftEvents
}

export interface Ledger {
  readonly received: number
  readonly accepted: number
  readonly rejected: number
  /** Events of batches that came again. */
  readonly duplicate: number
  readonly delivered: number
  readonly pending: number
  /** Damaged in the log, or refused by the engine: rows of `rejections`, stage `delivery`. */
  readonly undeliverable: number
  /** Left out at delivery because one of the same source and `eventId` came before. */
  readonly suppressed: number
  /** Age of the oldest event that is not in the lake; null when all are. */
  readonly lagMs: number | null
  readonly flow: Flow
}

export async function ledgerOf(
  parts: Omit<LedgerParts, 'authorize'>,
  tenant: { tenantNo: number; tenantId: string },
): Promise<Ledger> {
  // The lake first: what is delivered between the two readings is then counted as pending, not twice.
  const { events, nextOffset, left } = await parts.delivered(tenant.tenantId)
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
    undeliverable: left.undeliverable,
    suppressed: left.duplicates,
    lagMs:
      pending.oldestReceivedMs === null
        ? null
        : Math.max(0, parts.now() - pending.oldestReceivedMs),
    flow: parts.flow(),
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
