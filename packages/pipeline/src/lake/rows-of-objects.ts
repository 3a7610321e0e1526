/**
 * Rows of `events` from batches of JSON objects.
 *
 * `data` is read as text and taken apart by `known-data.ts`: reading it as a typed struct measured no
 * cheaper, and would fail on a wild batch.
 */
import { knownColumns, knownData, restOfData } from './known-data.ts'
import {
  batches,
  clockSteps,
  columnsOf,
  type LogLines,
  pageSteps,
  purposes,
  SHARED,
  TIMES,
} from './rows-of-batches.ts'
import { chain, structOf } from './sql-text.ts'
import { EVENTS } from './tables.ts'

const EVENT = {
  eventType: 'VARCHAR',
  timestamp: 'VARCHAR',
  target: 'VARCHAR',
  data: 'JSON',
  eventId: 'VARCHAR',
  // 3.0 and 1e2 are whole numbers of JSON that an INTEGER would not take.
  seq: 'DOUBLE',
  ...SHARED,
}

/** A CASE does not shield a member of a struct (all rows are read): each becomes a column first. */
const FLAT_EVENT = Object.keys(EVENT)
  .map((member) => `e."${member}" AS "e_${member}"`)
  .join(', ')

export function objectRows(lines: LogLines): string {
  const steps = [
    batches(lines, 'e', { i: 'INTEGER[]', e: `${structOf(EVENT)}[]` }),
    {
      name: 'occurred',
      select: `SELECT * EXCLUDE (e, i), unnest(e) AS e,
  unnest(coalesce(i, CAST(range(len(e)) AS INTEGER[]))) AS event_index FROM batches`,
    },
    { name: 'flat', select: `SELECT * EXCLUDE (e), ${FLAT_EVENT} FROM occurred` },
    {
      name: 'known',
      select: `SELECT *, ${clientMicros('e_timestamp')} AS client_us,
  coalesce(e_path, default_path, '/') AS page, ${knownData('e_data')} AS known FROM flat`,
    },
    ...clockSteps('known'),
    ...pageSteps('timed'),
  ]
  const columns = {
    ...TIMES,
    event_id: 'e_eventId',
    event_type: 'e_eventType',
    visitor_id: 'coalesce(e_visitorId, default_visitor)',
    user_id: 'coalesce(e_userId, default_user)',
    client_session_id: 'coalesce(e_sessionId, default_session)',
    page_id: 'coalesce(e_pageId, default_page)',
    seq: 'e_seq',
    browser: 'coalesce(e_browser, default_browser)',
    target: 'e_target',
    consent: `coalesce(${purposes('e_consent', 'gpc')}, default_consent)`,
    data: restOfData('e_data'),
    ...knownColumns(),
  }
  return chain(steps, `SELECT ${columnsOf(EVENTS, columns)} FROM placed`)
}

/**
 * Every time with a zone has a colon, epoch milliseconds (`1573840800000`, `1.57e12`) have none. Null
 * where neither form fits: the collector takes no such time, and if it did, the event counts as one
 * with a wrong clock rather than stopping all others.
 */
function clientMicros(value: string): string {
  return `CASE WHEN contains(${value}, ':') THEN epoch_us(TRY_CAST(${value} AS TIMESTAMPTZ))
    ELSE TRY_CAST(TRY_CAST(${value} AS DOUBLE) AS BIGINT) * 1000 END`
}
