/**
 * What rows of `events` have in common, whichever form their batch was sent in: how lines are read,
 * what belongs to the batch, and the rules for its page, its times and its purposes.
 *
 * The rules are SQL over named columns, so that a rule stands once: packed batches apply the page's to
 * the batch, objects to each event. Dear work (regular expressions) stands inside a CASE, whose branches
 * the engine runs only on the rows that take them.
 */
import { limits, PURPOSES } from '@millrace/protocol'
import { RECORD_FLAGS } from '../log/event-log.ts'
import { RECORD_BYTES_MAX } from '../log/record.ts'
import { sqlType } from './data-file.ts'
import type { RecordForms } from './record-forms.ts'
import { named, type Step, structOf, text, whole } from './sql-text.ts'
import type { TableDefinition } from './tables.ts'

export interface LogLines {
  readonly table: TableDefinition['name']
  /** SQL literal (quotes included) of the path of a file of whole record lines. */
  readonly lines: string
  /** Names of the sources that may occur. A number without a name becomes `source-<number>`. */
  readonly sources: readonly { readonly sourceNo: number; readonly name: string }[]
  readonly logId: string
  /** Records below it are skipped. */
  readonly fromOffset?: number
  /** Forms that may occur; one that may not costs nothing. Absent: both are looked for. */
  readonly forms?: Pick<RecordForms, 'objects' | 'packed'>
}

/** DuckDB refuses longer lines; twice the log's limit, for its buffers also hold a line's neighbours. */
const LINE_BYTES_MAX = 2 * RECORD_BYTES_MAX

const SCHEME = '^[A-Za-z][A-Za-z0-9+.-]*://'

const CONSENT = structOf(Object.fromEntries(PURPOSES.map((purpose) => [purpose, 'BOOLEAN'])))
/** Members that an event may have and an envelope may give for all its events. */
export const SHARED = {
  visitorId: 'VARCHAR',
  userId: 'VARCHAR',
  sessionId: 'VARCHAR',
  pageId: 'VARCHAR',
  browser: 'VARCHAR',
  path: 'VARCHAR',
  consent: CONSENT,
}
/** Members of a record that every form of events needs. */
const BATCH = {
  o: 'BIGINT',
  s: 'INTEGER',
  r: 'BIGINT',
  q: 'BIGINT',
  b: 'VARCHAR',
  f: 'INTEGER',
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
}

/** Lines with these members and no others, detection off: the data must not decide the schema. */
export function readLines(path: string, members: Readonly<Record<string, string>>): string {
  const columns = Object.entries(members).map(([member, type]) => `${member}: ${text(type)}`)
  return `read_json(${path}, format = 'newline_delimited', auto_detect = false,
    maximum_object_size = ${LINE_BYTES_MAX}, columns = {${columns.join(', ')}})`
}

/**
 * One row a batch that has `form`: what is the same for all its events, computed once. `more` are the
 * form's own members.
 */
export function batches(
  { lines, sources, fromOffset }: LogLines,
  form: 'e' | 'p',
  more: Readonly<Record<string, string>>,
): Step {
  const columns = named({
    log_offset: 'o',
    batch_id: 'b',
    source: sourceName(sources),
    received_us: 'r * 1000',
    received_at: 'make_timestamptz(r * 1000)',
    historical: flag('historical'),
    shift_us: `CASE WHEN NOT ${flag('historical')} AND abs(r - q) > ${limits.CLOCK_CORRECTION_MIN_MS}
    THEN (r - q) * 1000 ELSE 0 END`,
    mixed: flag('mixed'),
    wild: flag('wild'),
    default_visitor: 'd."visitorId"',
    default_user: 'd."userId"',
    default_session: 'd."sessionId"',
    default_page: 'd."pageId"',
    default_path: 'd.path',
    default_browser: 'coalesce(d.browser, c.browser)',
    gpc: 'coalesce(c.gpc, false)',
    default_consent: purposes('d.consent', 'coalesce(c.gpc, false)'),
    origin_host: hostOf('c.origin'),
    os: 'c.os',
    device: 'c.device',
    country: 'c.country',
    bot: 'c.bot',
  })
  return {
    name: 'batches',
    select: `SELECT ${columns}, ${Object.keys(more).join(', ')}
  FROM ${readLines(lines, { ...BATCH, ...more })} WHERE ${form} IS NOT NULL${below(fromOffset)}`,
  }
}

/** The condition that leaves out what the table has. */
export function below(fromOffset: number | undefined): string {
  return fromOffset === undefined ? '' : ` AND o >= ${whole(fromOffset)}`
}

/** Adds host, path, campaign and click id of the column `page`, a path or a URL. */
export function pageSteps(from: string): readonly Step[] {
  return [
    {
      name: 'addressed',
      select: `SELECT *, contains(page, '?') OR contains(page, '#') OR contains(page, '://') AS is_url FROM ${from}`,
    },
    {
      name: 'asked',
      select: `SELECT *,
  CASE WHEN is_url THEN nullif(regexp_extract(page, '^[^?#]*[?]([^#]*)', 1), '') END AS query FROM addressed`,
    },
    {
      name: 'campaigned',
      select: `SELECT *,
  CASE WHEN query IS NOT NULL AND contains(query, 'utm_') THEN query END AS campaign FROM asked`,
    },
    { name: 'placed', select: `SELECT *, ${named(pageColumns())} FROM campaigned` },
  ]
}

function pageColumns(): Readonly<Record<string, string>> {
  return {
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
  }
}

/** Adds the times that follow from `client_us`, the event's own clock; null is one that cannot be true. */
export function clockSteps(from: string): readonly Step[] {
  const first = `received_us - ${limits.CLOCK_PAST_MAX_MS * 1000}`
  const last = `received_us + ${limits.CLOCK_FUTURE_MAX_MS * 1000}`
  return [
    { name: 'corrected', select: `SELECT *, client_us + shift_us AS corrected_us FROM ${from}` },
    {
      name: 'timed',
      select: `SELECT *, NOT historical
  AND coalesce(corrected_us NOT BETWEEN ${first} AND ${last}, true) AS clock_suspect FROM corrected`,
    },
  ]
}

/** Columns of `events` out of `clockSteps`. */
export const TIMES = {
  event_time: 'make_timestamptz(CASE WHEN clock_suspect THEN received_us ELSE corrected_us END)',
  client_time: 'make_timestamptz(coalesce(client_us, received_us))',
}

/** `expression AS name` for each column; a column without an expression is the input's own. */
export function columnsOf(
  table: TableDefinition,
  expressions: Readonly<Record<string, string>>,
): string {
  return table.columns
    .map(
      ({ name, type }) =>
        `CAST(${expressions[name] ?? `"${name}"`} AS ${sqlType({ type })}) AS "${name}"`,
    )
    .join(',\n  ')
}

export function sourceName(sources: LogLines['sources']): string {
  const unnamed = "concat('source-', s)"
  if (sources.length === 0) return unnamed
  const cases = sources.map(({ sourceNo, name }) => `WHEN ${whole(sourceNo)} THEN ${text(name)}`)
  return `CASE s ${cases.join(' ')} ELSE ${unnamed} END`
}

function flag(name: keyof typeof RECORD_FLAGS): string {
  return `((f & ${RECORD_FLAGS[name]}) <> 0)`
}

/**
 * Purposes agreed to, joined by commas; null where none is stated. Global Privacy Control takes back
 * all but `measure`, whatever was stated.
 */
export function purposes(consent: string, gpc: string): string {
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
