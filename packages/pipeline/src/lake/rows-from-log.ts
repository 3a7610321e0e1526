/**
 * SQL that turns lines of the log into rows of the lake's tables.
 *
 * One text for both sides of a snapshot: delivery writes what it yields, and queries read the log's
 * tail through it, so a row looks the same before and after it is delivered. JavaScript never touches
 * an event. It depends on the lines, the names of the sources and the log's identity alone: at every
 * run it yields the same rows, in the order of the log.
 *
 * What must hold: every column list is given (detection off, or the data would decide the schema);
 * no expression can fail on what the collector accepted, for one failing row fails all; dear work
 * (regular expressions, JSON patches, type probes) stands inside a CASE, whose branches DuckDB runs
 * only on the rows that take them. Work that belongs to a batch is done before its events are
 * unnested. Expects `SET TimeZone = 'UTC'`. DuckDB's dialect; no driver is imported here.
 */
import { DATA_COLUMNS, EVENT_TYPES, limits, PURPOSES } from '@millrace/protocol'
import { RECORD_FLAGS } from '../log/event-log.ts'
import { RECORD_BYTES_MAX } from '../log/record.ts'
import { sqlType } from './data-file.ts'
import { EVENTS, IDENTITIES, REJECTIONS, type TableDefinition } from './tables.ts'

export interface LogLines {
  readonly table: TableDefinition['name']
  /** SQL literal (quotes included) of the path of a file of whole record lines. */
  readonly lines: string
  /** Names of the sources that may occur. A number without a name becomes `source-<number>`. */
  readonly sources: readonly { readonly sourceNo: number; readonly name: string }[]
  readonly logId: string
  /** Records below it are skipped. */
  readonly fromOffset?: number
}

/** DuckDB refuses longer lines; twice the log's limit, for its buffers also hold a line's neighbours. */
const LINE_BYTES_MAX = 2 * RECORD_BYTES_MAX

const SCHEME = '^[A-Za-z][A-Za-z0-9+.-]*://'

const CONSENT = structOf(Object.fromEntries(PURPOSES.map((purpose) => [purpose, 'BOOLEAN'])))
/** Members that an event may have and an envelope may give for all its events. */
const SHARED = {
  visitorId: 'VARCHAR',
  userId: 'VARCHAR',
  sessionId: 'VARCHAR',
  pageId: 'VARCHAR',
  browser: 'VARCHAR',
  path: 'VARCHAR',
  consent: CONSENT,
}
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

/** Members of a record that rows are made of, and their types. */
const RECORD: Readonly<Record<string, string>> = {
  o: 'BIGINT',
  s: 'INTEGER',
  r: 'BIGINT',
  q: 'BIGINT',
  b: 'VARCHAR',
  f: 'INTEGER',
  i: 'INTEGER[]',
  d: structOf(SHARED),
  c: structOf({
    browser: 'VARCHAR',
    os: 'VARCHAR',
    device: 'VARCHAR',
    country: 'VARCHAR',
    origin: 'VARCHAR',
    bot: 'BOOLEAN',
    gpc: 'BOOLEAN',
  }),
  e: `${structOf(EVENT)}[]`,
  x: `${structOf({ index: 'INTEGER', code: 'VARCHAR', detail: 'VARCHAR', pointer: 'VARCHAR', raw: 'VARCHAR' })}[]`,
}

/** A CASE does not shield a member of a struct (all rows are read): each becomes a column first. */
const FLAT_EVENT = Object.keys(EVENT)
  .map((member) => `e."${member}" AS "e_${member}"`)
  .join(', ')

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
  const step = (name: string, select: string) => `${name} AS NOT MATERIALIZED (${select})`
  return `WITH ${step('records', recordLayer(lines))},
${step(
  'occurred',
  `SELECT * EXCLUDE (e, i), unnest(e) AS e,
  unnest(coalesce(i, CAST(range(len(e)) AS INTEGER[]))) AS event_index FROM records`,
)},
${step('flat', `SELECT * EXCLUDE (e), ${FLAT_EVENT} FROM occurred`)},
${step(
  'known',
  `SELECT *, ${clientMicros('e_timestamp')} AS client_us, coalesce(e_path, default_path, '/') AS page,
  ${knownData('e_data')} AS known FROM flat`,
)},
${step(
  'timed',
  `SELECT *, client_us + shift_us AS corrected_us,
  contains(page, '?') OR contains(page, '#') OR contains(page, '://') AS is_url FROM known`,
)},
${step(
  'asked',
  `SELECT *, NOT historical AND coalesce(corrected_us NOT BETWEEN
    received_us - ${micros(limits.CLOCK_PAST_MAX_MS)}
    AND received_us + ${micros(limits.CLOCK_FUTURE_MAX_MS)}, true) AS clock_suspect,
  CASE WHEN is_url THEN nullif(regexp_extract(page, '^[^?#]*[?]([^#]*)', 1), '') END AS query
  FROM timed`,
)},
${step(
  'judged',
  `SELECT *,
  CASE WHEN query IS NOT NULL AND contains(query, 'utm_') THEN query END AS campaign FROM asked`,
)}
SELECT ${columnsOf(EVENTS, eventExpressions())} FROM judged`
}

/** What is the same for all events of a batch, computed once for each batch. */
function recordLayer({ lines, sources, fromOffset }: LogLines): string {
  const from = fromOffset === undefined ? '' : ` AND o >= ${whole(fromOffset)}`
  return `SELECT o AS log_offset, b AS batch_id, ${sourceName(sources)} AS source,
  r * 1000 AS received_us, make_timestamptz(r * 1000) AS received_at,
  (f & ${RECORD_FLAGS.historical}) <> 0 AS historical,
  CASE WHEN NOT historical AND abs(r - q) > ${limits.CLOCK_CORRECTION_MIN_MS} THEN (r - q) * 1000 ELSE 0 END AS shift_us,
  (f & ${RECORD_FLAGS.mixed}) <> 0 AS mixed, (f & ${RECORD_FLAGS.wild}) <> 0 AS wild,
  d."visitorId" AS default_visitor, d."userId" AS default_user, d."sessionId" AS default_session,
  d."pageId" AS default_page, d.path AS default_path, coalesce(d.browser, c.browser) AS default_browser,
  coalesce(c.gpc, false) AS gpc, ${purposes('d.consent', 'gpc')} AS default_consent,
  ${hostOf('c.origin')} AS origin_host,
  c.os AS os, c.device AS device, c.country AS country, c.bot AS bot, e, i
  FROM ${readLines(lines, ['o', 's', 'r', 'q', 'b', 'f', 'i', 'd', 'c', 'e'])} WHERE e IS NOT NULL${from}`
}

/** Columns of `events` that are not columns of the last step as they are. */
function eventExpressions(): Readonly<Record<string, string>> {
  return {
    event_id: 'e_eventId',
    event_type: 'e_eventType',
    event_time: 'make_timestamptz(CASE WHEN clock_suspect THEN received_us ELSE corrected_us END)',
    client_time: 'make_timestamptz(coalesce(client_us, received_us))',
    visitor_id: 'coalesce(e_visitorId, default_visitor)',
    user_id: 'coalesce(e_userId, default_user)',
    client_session_id: 'coalesce(e_sessionId, default_session)',
    page_id: 'coalesce(e_pageId, default_page)',
    seq: 'e_seq',
    host: `CASE WHEN is_url THEN coalesce(${hostOf('page')}, origin_host) ELSE origin_host END`,
    path: `CASE WHEN is_url THEN ${pathOf('page')} ELSE page END`,
    ...Object.fromEntries(
      ['source', 'medium', 'campaign', 'term', 'content'].map((name) => [
        `utm_${name}`,
        `CASE WHEN campaign IS NOT NULL THEN ${parameter('campaign', `utm_${name}`)} END`,
      ]),
    ),
    // The first in the query wins: it is the one the advertiser's own link was made with.
    click_id: `CASE WHEN query IS NOT NULL THEN nullif(regexp_extract(query,
    '(?:^|&)((?:gclid|gbraid|wbraid|dclid|fbclid|msclkid|ttclid|twclid|li_fat_id)=[^&]+)', 1), '') END`,
    browser: 'coalesce(e_browser, default_browser)',
    target: 'e_target',
    consent: `coalesce(${purposes('e_consent', 'gpc')}, default_consent)`,
    data: `CASE WHEN wild THEN nullif(CAST(e_data AS VARCHAR), '{}')
    WHEN mixed AND e_data IS NOT NULL THEN nullif(CAST(json_merge_patch(e_data, ${text(withoutKnownKeys())}) AS VARCHAR), '{}') END`,
    ...Object.fromEntries(
      Object.entries(DATA_COLUMNS).map(([key, { column }]) => [column, `known."${key}"`]),
    ),
  }
}

function rejectionRows({ lines, sources, logId, fromOffset }: LogLines): string {
  const from = fromOffset === undefined ? '' : ` AND o >= ${whole(fromOffset)}`
  return `WITH refused AS (SELECT o AS log_offset, b AS batch_id, ${sourceName(sources)} AS source,
  make_timestamptz(r * 1000) AS received_at, unnest(x) AS x
  FROM ${readLines(lines, ['o', 's', 'r', 'b', 'x'])} WHERE x IS NOT NULL${from})
SELECT ${columnsOf(REJECTIONS, {
    rejection_id: `concat(${text(logId)}, '-', log_offset, '-', x."index")`,
    stage: "'door'",
    code: 'x.code',
    detail: 'x.detail',
    pointer: 'x.pointer',
    raw: 'x.raw',
    event_index: 'x."index"',
    replayed_at: 'NULL',
  })} FROM refused`
}

/** `expression AS name` for each column; a column without an expression is the input's own. */
function columnsOf(table: TableDefinition, expressions: Readonly<Record<string, string>>): string {
  return table.columns
    .map(
      ({ name, type }) =>
        `CAST(${expressions[name] ?? `"${name}"`} AS ${sqlType({ type })}) AS "${name}"`,
    )
    .join(',\n  ')
}

function readLines(path: string, members: readonly string[]): string {
  const columns = members.map((member) => `${member}: ${text(RECORD[member] as string)}`)
  return `read_json(${path}, format = 'newline_delimited', auto_detect = false,
    maximum_object_size = ${LINE_BYTES_MAX}, columns = {${columns.join(', ')}})`
}

function sourceName(sources: LogLines['sources']): string {
  const unnamed = "concat('source-', s)"
  if (sources.length === 0) return unnamed
  const cases = sources.map(({ sourceNo, name }) => `WHEN ${whole(sourceNo)} THEN ${text(name)}`)
  return `CASE s ${cases.join(' ')} ELSE ${unnamed} END`
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

/**
 * Purposes agreed to, joined by commas; null where none is stated. Global Privacy Control takes back
 * all but `measure`, whatever was stated.
 */
function purposes(consent: string, gpc: string): string {
  const agreed = PURPOSES.map((purpose) => {
    const condition = `${consent}.${purpose}${purpose === 'measure' ? '' : ` AND NOT ${gpc}`}`
    return `CASE WHEN ${condition} THEN ${text(purpose)} END`
  })
  const stated = PURPOSES.map((purpose) => `${consent}.${purpose}`).join(', ')
  return `CASE WHEN coalesce(${stated}) IS NOT NULL THEN concat_ws(',', ${agreed.join(', ')}) END`
}

/** Host and port of a URL, without a user's name and password; null when there is none. */
function hostOf(url: string): string {
  return `lower(nullif(regexp_extract(${url}, '${SCHEME}(?:[^/?#]*@)?([^/?#@]+)', 1), ''))`
}

function pathOf(url: string): string {
  const rooted = `regexp_replace(regexp_replace(${url}, '${SCHEME}[^/?#]*', ''), '[?#].*$', '', 's')`
  return `coalesce(nullif(${rooted}, ''), '/')`
}

/**
 * One parameter of a query, decoded. `url_decode` fails on what is not UTF-8 (`%ff`): then the text
 * stays as it came. NUL is cut out: many readers of Parquet end a text there.
 */
function parameter(query: string, name: string): string {
  const value = `replace(regexp_extract(${query}, '(?:^|&)${name}=([^&]*)', 1), '+', ' ')`
  return `nullif(replace(coalesce(TRY(url_decode(${value})), ${value}), chr(0), ''), '')`
}

const KIND_TYPES = { integer: 'INTEGER', coordinate: 'DOUBLE', text: 'VARCHAR' } as const
/** What `json_type` says of values that the column takes as they are: no text becomes a number. */
const KIND_JSON_TYPES = {
  integer: "'BIGINT', 'UBIGINT'",
  coordinate: "'BIGINT', 'UBIGINT', 'DOUBLE'",
  text: "'VARCHAR'",
} as const

/** A struct of the members of `data` that are columns; in wild batches each is probed first. */
function knownData(data: string): string {
  const entries = Object.entries(DATA_COLUMNS)
  const shape = JSON.stringify(
    Object.fromEntries(entries.map(([key, { kind }]) => [key, KIND_TYPES[kind]])),
  )
  const probed = entries.map(([key, { kind }]) => {
    const member = `${data}->>'$.${key}'`
    return `"${key}": CASE WHEN json_type(${data}, '$.${key}') IN (${KIND_JSON_TYPES[kind]})
      THEN TRY_CAST(${member} AS ${KIND_TYPES[kind]}) END`
  })
  return `CASE WHEN wild THEN {${probed.join(', ')}} ELSE json_transform(${data}, ${text(shape)}) END`
}

/** A JSON merge patch (RFC 7396) that removes the members that are columns. */
function withoutKnownKeys(): string {
  return JSON.stringify(Object.fromEntries(Object.keys(DATA_COLUMNS).map((key) => [key, null])))
}

/**
 * `data` as it was sent: the columns' members and the rest, spliced as text. (A merge patch would
 * drop the sender's nulls.) Only a wild batch keeps members that are columns in the rest, and then the
 * rest is the whole.
 */
function wholeData(): string {
  const entries = Object.entries(DATA_COLUMNS)
  const members = entries.map(([key, { column, kind }]) => {
    // A whole coordinate prints as 12, not 12.0: as it came.
    const value = {
      integer: `"${column}"`,
      coordinate: `CASE WHEN "${column}" = trunc("${column}") AND abs("${column}") < 1e15
        THEN CAST(CAST("${column}" AS BIGINT) AS VARCHAR) ELSE CAST("${column}" AS VARCHAR) END`,
      text: `CAST(to_json("${column}") AS VARCHAR)`,
    }[kind]
    return `'"${key}":' || ${value}`
  })
  const columns = entries.map(([, { column }]) => `"${column}"`).join(', ')
  const keys = entries.map(([key]) => text(key)).join(', ')
  return `CASE WHEN coalesce(${columns.replaceAll(/"\w+"/g, (name) => `CAST(${name} AS VARCHAR)`)}) IS NULL THEN "data"
    WHEN "data" IS NULL THEN '{' || concat_ws(',', ${members.join(', ')}) || '}'
    WHEN list_has_any(json_keys("data"), [${keys}]) THEN "data"
    ELSE '{' || concat_ws(',', ${members.join(', ')}) || ',' || substring("data", 2) END`
}

function structOf(members: Readonly<Record<string, string>>): string {
  const typed = Object.entries(members).map(([name, type]) => `"${name}" ${type}`)
  return `STRUCT(${typed.join(', ')})`
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

function whole(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a whole number`)
  return String(value)
}

function micros(milliseconds: number): string {
  return String(milliseconds * 1000)
}
