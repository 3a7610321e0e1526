/** One look at everything of the visitor's own, once a second: trail, pages, types, ledger. */
import { type Ledger, readLedger } from '../api/ledger.ts'
import { numberOf, type QueryResult, records, runQuery, textOf } from '../api/query.ts'
import type { Bar } from '../components/bar-chart.tsx'
import { pageRows, pagesSql, trailSql, typesSql } from './demo-sql.ts'
import type { PageRows, ShopDocument } from './shop-account.ts'
import type { Shop } from './use-shop.ts'

export interface OwnReading {
  /** The documents as they were before SQL was asked: what they had acknowledged must be in it. */
  readonly documents: readonly ShopDocument[]
  readonly trail: QueryResult
  readonly pages: ReadonlyMap<string, PageRows>
  readonly types: readonly Bar[]
  readonly typesMs: number
  readonly ledger: Ledger
  /** From asking for the trail to having it. */
  readonly roundTripMs: number
  /** When the answers were all there, on this page's monotonic clock. */
  readonly atMs: number
}

const BARS_MAX = 5

export async function readOwn(
  shop: Shop,
  tenantId: string,
  signal: AbortSignal,
): Promise<OwnReading | undefined> {
  if (shop.last === undefined) return undefined
  const { visitorId, pageId } = shop.last
  const options = { tenantId, signal }
  const { documents } = shop
  const pageIds = documents.flatMap((document) => document.pageIds)
  const start = performance.now()
  const trail = await runQuery(trailSql(visitorId, pageId), { ...options, maxRows: 5_000 })
  const roundTripMs = performance.now() - start
  const [pages, types, ledger] = await Promise.all([
    runQuery(pagesSql(pageIds), options),
    runQuery(typesSql(visitorId), options),
    readLedger(options),
  ])
  const bars = records(types).map((row) => ({
    name: textOf(row.event_type),
    value: numberOf(row.events),
  }))
  return {
    documents,
    trail,
    pages: pageRows(pages),
    types: bars.slice(0, BARS_MAX),
    typesMs: types.stats.elapsedMs,
    ledger,
    roundTripMs,
    atMs: performance.now(),
  }
}
