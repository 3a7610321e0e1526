/**
 * Every route of the server, mounted: the hot one on bare HTTP, the rest on the framework.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { problem } from '@millrace/protocol'
import { Hono } from 'hono'
import type { Logger } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { Door } from '../collector/accept-batch.ts'
import { DoorQueue } from '../collector/door-queue.ts'
import { FastLane } from '../collector/fast-lane.ts'
import { ingestRoute } from '../collector/ingest-route.ts'
import { LiveFeed } from '../collector/live-feed.ts'
import { liveRoutes } from '../collector/live-routes.ts'
import { LoadGate } from '../collector/load-gate.ts'
import { withDeadline } from '../collector/queue-deadline.ts'
import { Quota, type QuotaRates } from '../collector/quota.ts'
import { segmentRoute } from '../collector/segment-route.ts'
import { requestStamper } from '../collector/stamp.ts'
import { meteredLog, Traffic } from '../collector/traffic.ts'
import type { DeliveryScheduler } from '../delivery/scheduler.ts'
import type { RecentMedian } from '../kit/recent-median.ts'
import { problemResponse } from '../kit/responses.ts'
import type { LakeReader } from '../lake/lake-reader.ts'
import { NONE_LEFT } from '../lake/progress.ts'
import type { DiskLog } from '../log/disk-log.ts'
import { ledgerRoutes } from '../query/ledger-routes.ts'
import { queryRoutes } from '../query/routes.ts'
import type { RunSql } from '../query/run-sql.ts'
import { type Authorize, factsOf } from '../tenants/authorize.ts'
import { controlRoutes } from '../tenants/control-routes.ts'
import type { Makers } from '../tenants/create-tenant.ts'
import type { Links } from '../tenants/links.ts'
import { oauthRoutes } from '../tenants/oauth-routes.ts'
import { sessionRoutes } from '../tenants/session-routes.ts'
import type { SigningKeys } from '../tenants/signing-keys.ts'
import type { Scope } from '../tenants/tenant-store.ts'
import type { Tokens } from '../tenants/tokens.ts'
import { type DeliveryLimits, meterDelivery, tooFarBehind } from './delivery-status.ts'
import type { Demo } from './demo.ts'
import { demoRoutes } from './demo-routes.ts'
import type { DuplicateCounts } from './duplicate-counts.ts'
import type { Routes } from './http-server.ts'
import { meterDamage } from './log-metrics.ts'
import { openApiRoutes } from './openapi.ts'
import { retentionMetrics } from './retention-metrics.ts'
import { ASSETS, staticRoutes } from './static-routes.ts'
import { notServed, statusRoutes } from './status-routes.ts'

/**
 * In the log's hands before no further batch begins. Enough for a disk that needs 50 ms for a sync and takes
 * 150 MB a second; more would only wait there instead of before the door, and for longer than V8 keeps
 * young buffers apart.
 */
const UNDER_WAY_BYTES = 8 * 1_048_576

export interface DoorParts {
  readonly makers: Makers
  readonly keys: SigningKeys
  readonly tokens: Tokens
  readonly authorize: Authorize
  readonly links: Links
  readonly issuer: () => string
  readonly log: DiskLog
  readonly lake: LakeReader
  readonly delivery: Pick<DeliveryScheduler, 'standing'>
  readonly deliveryLimits: DeliveryLimits
  readonly duplicates: DuplicateCounts
  readonly run: RunSql
  readonly queryMs: RecentMedian
  readonly demo: Demo | undefined
  readonly writeKey: string
  readonly logger: Logger
  readonly rates: QuotaRates
}

export function composeDoors(parts: DoorParts): Routes {
  const { makers, authorize, log, lake, logger } = parts
  const elapsed = () => performance.now()
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'millrace_process_' })
  meterDamage(registry, log)
  const live = new LiveFeed(makers.clock)
  const stopping = new AbortController()
  const failed = (error: unknown) => logger.error({ err: error }, 'a request met a fault of ours')
  const repeated = (tenantNo: number, count: number) => parts.duplicates.add(tenantNo, count)
  const traffic = new Traffic(registry, live, failed, repeated)
  const nameOf = (tenantNo: number) =>
    makers.store.tenants().find((each) => each.tenantNo === tenantNo)?.tenantId ?? String(tenantNo)
  meterDelivery(registry, () => parts.delivery.standing(), nameOf)
  retentionMetrics(registry, () => log.kept())
  const deadlineLog = withDeadline(meteredLog(log, elapsed, traffic.syncMs), elapsed)
  const door: Door = {
    log: deadlineLog,
    store: makers.store,
    authorizeBearer: (headers) => authorize(factsOfNode(headers), 'events:write'),
    stamp: requestStamper(),
    clock: makers.clock,
    observer: traffic,
    gate: new LoadGate({
      quota: new Quota(parts.rates),
      overdue: deadlineLog.overdue,
      elapsed,
      queue: new DoorQueue({
        elapsed,
        atEnd: setImmediate,
        later: setTimeout,
        isBlocked: () => log.waitingBytes() > UNDER_WAY_BYTES && !deadlineLog.overdue(),
      }),
    }),
  }
  const may = (request: Request, scope: Scope) => authorize(factsOf(request), scope)

  const app = new Hono()
  app.route(
    '/',
    statusRoutes({
      demo: parts.demo !== undefined,
      registry,
      notReady: () =>
        log.fault()?.message ??
        tooFarBehind(parts.delivery.standing(), parts.deliveryLimits, nameOf),
    }),
  )
  app.route('/', oauthRoutes({ ...parts, ...makers }))
  app.route(
    '/',
    sessionRoutes({
      ...makers,
      links: parts.links,
      // TLS ends at the proxy, so the address that clients use says whether there is any.
      isHttps: () => parts.issuer().startsWith('https:'),
    }),
  )
  app.route('/', controlRoutes({ ...makers, authorize }))
  app.route('/', queryRoutes({ run: parts.run, authorize: may, failed }))
  app.route(
    '/',
    ledgerRoutes({
      log,
      delivered: async (tenantId) => {
        // Both of one snapshot: a delivery between two readings would be missed in the sum.
        const { recordCount, progress } = await lake.snapshot(tenantId, 'events')
        const nextOffset = progress?.logId === log.logId ? progress.nextOffset : 0
        return { events: recordCount, nextOffset, left: progress?.left ?? NONE_LEFT }
      },
      duplicates: (tenantNo) => parts.duplicates.get(tenantNo),
      flow: () => ({
        acceptMs: traffic.acceptMs.get(),
        syncMs: traffic.syncMs.get(),
        queryMs: parts.queryMs.get(),
      }),
      now: () => makers.clock.now(),
      authorize: may,
    }),
  )
  app.route(
    '/',
    liveRoutes({
      live,
      stopping: stopping.signal,
      authorize: (request) => may(request, 'events:read'),
    }),
  )
  app.route('/', segmentRoute(door, traffic, elapsed))
  app.route('/', openApiRoutes(parts.issuer))
  mountPages(app, parts, may)
  app.notFound((context) => notServed(app, context))
  app.onError((error) => {
    failed(error)
    return problemResponse(problem('internal', 'the request met a fault of ours'))
  })
  return {
    app,
    hot: ingestRoute(door, traffic, elapsed),
    lane: (ordinary, timeouts) =>
      new FastLane({ door, observer: traffic, elapsed, timeouts, ordinary }),
    endStreams: () => stopping.abort(),
  }
}

function mountPages(
  app: Hono,
  { demo, writeKey }: DoorParts,
  may: (request: Request, scope: Scope) => Promise<object>,
): void {
  if (demo !== undefined) {
    app.route(
      '/',
      demoRoutes({
        state: demo.state,
        startedMs: Date.now(),
        writeKey,
        authorize: (request) => may(request, 'events:write'),
      }),
    )
    app.route('/', staticRoutes(join(ASSETS, 'shop'), '/shop'))
    app.get('/shop', (context) => context.redirect('/shop/'))
  }
  app.route('/', staticRoutes(join(ASSETS, 'tracker'), '', true))
  app.route(
    '/',
    staticRoutes(join(ASSETS, 'console'), '', false, demo === undefined ? ['demo.html'] : []),
  )
}

function factsOfNode(headers: IncomingHttpHeaders) {
  return {
    method: 'POST',
    header: (name: string) => {
      const value = headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    query: () => undefined,
  }
}
