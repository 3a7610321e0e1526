/** The statements of the demo page. Ids come from the tracker, but are quoted like anybody's text. */
import { numberOf, type QueryResult, records } from '../api/query.ts'
import { sqlList, sqlString } from '../kit/sql-text.ts'
import type { PageRows } from './shop-account.ts'

/** How far back the trail goes, and as far as its statement looks. */
export const TRAIL_MS = 15_000

export const trailSql = (visitorId: string, pageId: string): string => `select event_type,
  client_x, client_y, epoch_ms(now()) - epoch_ms(received_at) as age_ms
from events
where visitor_id = ${sqlString(visitorId)} and page_id = ${sqlString(pageId)}
  and event_type in ('pointermove', 'touchmove', 'click')
  and received_at > now() - interval ${TRAIL_MS / 1_000} seconds
order by seq`

export const typesSql = (visitorId: string): string => `select event_type, count(*) as events
from events
where visitor_id = ${sqlString(visitorId)}
group by event_type
order by events desc`

export const pagesSql = (pageIds: readonly string[]): string => `select page_id,
  count(*) as total, max(seq) + 1 as numbered
from events where page_id in ${sqlList(pageIds)}
group by page_id`

export function pageRows(result: QueryResult): ReadonlyMap<string, PageRows> {
  return new Map(
    records(result).map((row) => [
      String(row.page_id),
      { rows: numberOf(row.total), numbered: numberOf(row.numbered) },
    ]),
  )
}
