/**
 * SQL that turns lines of the log into rows of the lake's tables.
 *
 * One text for both sides of a snapshot: delivery writes what it yields, and queries read the log's
 * tail through it, so a row looks the same before and after it is delivered. JavaScript never touches
 * an event. It depends on the lines, the names of the sources and the log's identity alone: at every
 * run it yields the same rows, in the order of the log; where both forms of batches occur, those of
 * objects first and then the packed ones.
 *
 * What must hold: every column list is given (detection off, or the data would decide the schema);
 * no expression can fail on what the collector accepted, for one failing row fails all; dear work
 * (regular expressions, JSON patches, type probes) stands inside a CASE, whose branches DuckDB runs
 * only on the rows that take them. Work that belongs to a batch is done before its events are
 * unnested. Expects `SET TimeZone = 'UTC'`. DuckDB's dialect; no driver is imported here.
 */
import { EVENT_TYPES } from '@millrace/protocol'
import { wholeData } from './known-data.ts'
import { below, columnsOf, type LogLines, readLines, sourceName } from './rows-of-batches.ts'
import { objectRows } from './rows-of-objects.ts'
import { packedRows } from './rows-of-packed.ts'
import { structOf, text } from './sql-text.ts'
import { EVENTS, IDENTITIES, REJECTIONS } from './tables.ts'

/** A SELECT with exactly the table's columns, in order and type; rows in the order of the log. */
export function rowsFromLog(lines: LogLines): string {
  if (lines.table === 'rejections') return rejectionRows(lines)
  const events = eventRows(lines)
  return lines.table === 'events' ? events : identitiesFrom(`(${events})`)
}

/** Rows of `identities` from a relation with the columns of `events`. */
export function identitiesFrom(events: string): string {
  return `SELECT ${columnsOf(IDENTITIES, { identified_at: 'event_time', traits: wholeData() })}
FROM ${events} WHERE event_type = ${text(EVENT_TYPES.identify)}`
}

/**
 * What people see as `events`: all columns, `data` whole again. A query that does not name `data`
 * pays nothing for it.
 */
export function eventsView(relation: string): string {
  const columns = EVENTS.columns.map(({ name }) =>
    name === 'data' ? `CAST(${wholeData()} AS JSON) AS "data"` : `"${name}"`,
  )
  return `SELECT ${columns.join(', ')} FROM ${relation}`
}

function eventRows(lines: LogLines): string {
  const { objects, packed } = lines.forms ?? { objects: true, packed: true }
  if (!packed) return objectRows(lines)
  return objects ? `(${objectRows(lines)})\nUNION ALL\n(${packedRows(lines)})` : packedRows(lines)
}

const REJECTED = {
  o: 'BIGINT',
  s: 'INTEGER',
  r: 'BIGINT',
  b: 'VARCHAR',
  x: `${structOf({
    index: 'INTEGER',
    code: 'VARCHAR',
    detail: 'VARCHAR',
    pointer: 'VARCHAR',
    raw: 'VARCHAR',
    stage: 'VARCHAR',
  })}[]`,
}

function rejectionRows({ lines, sources, logId, fromOffset }: LogLines): string {
  const columns = {
    rejection_id: `concat(${text(logId)}, '-', log_offset, '-', x."index")`,
    stage: "coalesce(x.stage, 'door')",
    code: 'x.code',
    detail: 'x.detail',
    pointer: 'x.pointer',
    raw: 'x.raw',
    event_index: 'x."index"',
    replayed_at: 'NULL',
  }
  return `WITH refused AS (SELECT o AS log_offset, b AS batch_id, ${sourceName(sources)} AS source,
  make_timestamptz(r * 1000) AS received_at, unnest(x) AS x
  FROM ${readLines(lines, REJECTED)} WHERE x IS NOT NULL${below(fromOffset)})
SELECT ${columnsOf(REJECTIONS, columns)} FROM refused`
}
