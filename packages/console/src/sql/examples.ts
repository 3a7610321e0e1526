/** Statements to start from. Each runs as it stands on the tables of any tenant. */
export interface Example {
  readonly name: string
  readonly sql: string
}

export const EVENTS_BY_TYPE = `select event_type, count(*) as events, count(distinct visitor_id) as visitors
from events
group by event_type
order by events desc`

/** The gap between two clicks needs the row before it, so the window sits in a subquery. */
export const CLICK_GAPS = `select path, count(*) as clicks,
       round(median(gap_ms)) as median_gap_ms
from (
  select path, epoch_ms(event_time)
    - lag(epoch_ms(event_time)) over
      (partition by page_id order by seq) as gap_ms
  from events
  where event_type = 'click'
)
where gap_ms is not null
group by path
order by clicks desc
limit 8`

const SESSIONS = `with gaps as (
  select visitor_id, event_time,
         lag(event_time) over (partition by visitor_id order by event_time) as before
  from events
  where visitor_id is not null
), numbered as (
  select visitor_id, event_time,
         count(*) filter (before is null or event_time - before > interval 30 minutes)
           over (partition by visitor_id order by event_time) as session
  from gaps
)
select visitor_id, session, count(*) as events,
       min(event_time) as started,
       round(date_diff('millisecond', min(event_time), max(event_time)) / 1000.0, 1) as seconds
from numbered
group by visitor_id, session
order by started desc
limit 200`

const REJECTED = `select received_at, code, pointer, detail, raw
from rejections
order by received_at desc
limit 200`

const PEOPLE = `select *
from people
limit 200`

const BUSY_HOURS = `select date_trunc('hour', event_time) as hour, count(*) as events,
       count(distinct visitor_id) as visitors,
       count(*) filter (event_type = 'click') as clicks
from events
group by hour
order by hour desc
limit 168`

export const EXAMPLES: readonly Example[] = [
  { name: 'Events by type', sql: EVENTS_BY_TYPE },
  { name: 'Nested: gaps between clicks, per page', sql: CLICK_GAPS },
  { name: 'Sessions by a 30-minute gap', sql: SESSIONS },
  { name: 'Hours', sql: BUSY_HOURS },
  { name: 'Rejections', sql: REJECTED },
  { name: 'People', sql: PEOPLE },
]
