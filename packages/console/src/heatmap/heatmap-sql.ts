/** The statements behind the heatmap: which pages there are, how large one is, and its cells. */
import { sqlString } from '../kit/sql-text.ts'
import { BIN_PX } from './bins.ts'

export type Kind = 'clicks' | 'moves'

export interface Choice {
  readonly path: string
  readonly kind: Kind
  /** A value of the column `device`, or `all`. */
  readonly device: string
}

const TYPES: Record<Kind, string> = {
  clicks: `('click')`,
  moves: `('pointermove', 'touchmove')`,
}

/** Pages to choose from. */
export const PAGES_SQL = `select path, count(*) filter (event_type = 'click') as clicks,
  count(*) filter (event_type in ('pointermove', 'touchmove')) as moves
from events where page_x is not null
group by path order by clicks + moves desc limit 50`

export const DEVICES_SQL = `select device, count(*) as events from events
where device is not null and page_x is not null group by device order by events desc limit 10`

const where = ({ path, device }: Choice): string =>
  `path = ${sqlString(path)}${device === 'all' ? '' : ` and device = ${sqlString(device)}`}`

/**
 * Each view of the page with its own width. Windows differ, and most layouts keep to the middle of theirs:
 * the heat of all is laid over the page of median width with the middles in one line.
 */
const withViews = (choice: Choice): string => `with views as (
  select page_id, max(page_w) as width from events
  where ${where(choice)} and page_w is not null group by page_id
), page as (
  select median(width) as width from views
)`

/** The page's own size where its page event told it, else as far as its events reach. */
export const extentSql = (choice: Choice): string => `${withViews(choice)}
select coalesce((select width from page), max(page_x)) as width,
  coalesce(max(page_h), max(page_y)) as height, median(viewport_h) as fold
from events where ${where(choice)}`

export const binsSql = (choice: Choice): string => `${withViews(choice)}, placed as (
  select page_y, page_x + coalesce(((select width from page) - views.width) / 2, 0) as page_x
  from events left join views using (page_id)
  where ${where(choice)} and event_type in ${TYPES[choice.kind]}
)
select cast(floor(page_x / ${BIN_PX}) as integer) as bin_x,
  cast(floor(page_y / ${BIN_PX}) as integer) as bin_y, count(*) as events
from placed where page_x >= 0 and page_y >= 0
group by all order by events desc`
