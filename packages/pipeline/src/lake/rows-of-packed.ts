/**
 * Rows of `events` from packed batches (docs/formats/wire.md): the same rows, column for column, as
 * the events would give that the batch stands for.
 *
 * Columns are unnested side by side, and what an event has of its own is looked up by its codes. The
 * page is the batch's, so it is judged once for all events. An event with an entry in `data` has its
 * data from there and by the rules of objects; the entries of a batch are listed once, and only they
 * are parsed.
 */
import { knownColumns, knownData, restOfData } from './known-data.ts'
import {
  batches,
  clockSteps,
  columnsOf,
  type LogLines,
  pageSteps,
  TIMES,
} from './rows-of-batches.ts'
import { chain, named, structOf } from './sql-text.ts'
import { EVENTS } from './tables.ts'

const PACKED = {
  t0: 'BIGINT',
  types: 'VARCHAR[]',
  targets: 'VARCHAR[]',
  t: 'INTEGER[]',
  type: 'INTEGER[]',
  target: 'INTEGER[]',
  seq: 'BIGINT',
  x: 'DOUBLE[]',
  y: 'DOUBLE[]',
  offsetX: 'DOUBLE[]',
  offsetY: 'DOUBLE[]',
  all: structOf({
    offsetX: 'DOUBLE',
    offsetY: 'DOUBLE',
    pointerId: 'INTEGER',
    pointerType: 'VARCHAR',
  }),
  data: 'JSON',
}

/** What is the batch's. `all` stands in only where the whole column is absent. */
const OF_BATCH = {
  page: "coalesce(default_path, '/')",
  t0: 'p.t0',
  types: 'p.types',
  targets: 'p.targets',
  first_seq: 'p.seq',
  all_offset_x: 'CASE WHEN p."offsetX" IS NULL THEN p."all"."offsetX" END',
  all_offset_y: 'CASE WHEN p."offsetY" IS NULL THEN p."all"."offsetY" END',
  all_pointer_id: 'p."all"."pointerId"',
  all_pointer_type: 'p."all"."pointerType"',
  // Both in the order of the object; an event's place in the one is its place in the other.
  data_indexes: 'TRY_CAST(json_keys(p.data) AS INTEGER[])',
  data_entries: "json_extract(p.data, '$.*')",
}

/** What each event has, by its place in the columns; null where the column is absent. */
const OF_EVENT = {
  event_index: 'unnest(CAST(range(len(p.t)) AS INTEGER[]))',
  t: 'unnest(p.t)',
  type_no: 'unnest(p."type")',
  target_no: 'unnest(p.target)',
  x: 'unnest(p.x)',
  y: 'unnest(p.y)',
  offset_x: 'unnest(p."offsetX")',
  offset_y: 'unnest(p."offsetY")',
}

export function packedRows(lines: LogLines): string {
  const steps = [
    batches(lines, 'p', { p: structOf(PACKED) }),
    { name: 'stated', select: `SELECT *, ${named(OF_BATCH)} FROM batches` },
    ...pageSteps('stated'),
    { name: 'occurred', select: `SELECT * EXCLUDE (p), ${named(OF_EVENT)} FROM placed` },
    {
      name: 'found',
      select: `SELECT *, (t0 + t) * 1000 AS client_us,
  CASE WHEN data_indexes IS NOT NULL THEN list_position(data_indexes, event_index) END AS data_at
  FROM occurred`,
    },
    { name: 'given', select: 'SELECT *, data_entries[data_at] AS e_data FROM found' },
    {
      name: 'known',
      select: `SELECT *, CASE WHEN data_at IS NOT NULL THEN ${knownData('e_data')} END AS known FROM given`,
    },
    ...clockSteps('known'),
  ]
  const columns = {
    ...TIMES,
    event_id: 'NULL',
    event_type: 'types[coalesce(type_no, 0) + 1]',
    visitor_id: 'default_visitor',
    user_id: 'default_user',
    client_session_id: 'default_session',
    page_id: 'default_page',
    seq: 'TRY_CAST(first_seq + event_index AS INTEGER)',
    browser: 'default_browser',
    // Lists begin at 1, and there is nothing at 0: what -1, no target, leads to.
    target: 'targets[target_no + 1]',
    consent: 'default_consent',
    data: restOfData('e_data'),
    ...knownColumns(),
    ...Object.fromEntries(
      Object.entries({
        pointer_id: 'all_pointer_id',
        pointer_type: 'all_pointer_type',
        client_x: 'x',
        client_y: 'y',
        page_x: 'x + coalesce(offset_x, all_offset_x)',
        page_y: 'y + coalesce(offset_y, all_offset_y)',
      }).map(([column, packed]) => [
        column,
        `CASE WHEN data_at IS NULL THEN ${packed} ELSE ${knownColumns()[column]} END`,
      ]),
    ),
  }
  return chain(steps, `SELECT ${columnsOf(EVENTS, columns)} FROM timed`)
}
