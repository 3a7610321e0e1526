/**
 * A DuckDB instance that can read one tenant's named files and nothing else: one for each query.
 *
 * The order below is the only one that works. Relations are views over an exact list of files; then the
 * settings close: no spill, bounded memory and threads, `allowed_paths` (exact files; a folder would let
 * `COPY … TO` write into it and list names), external access off (without it the list means nothing),
 * and the configuration locked. The views are read under the lock, since their files are allowed.
 *
 * People's tables are in the schema `main`; what they are made of is in `lake`, which the gate does not
 * admit. An instance is never used twice: views can be replaced and macros can shadow functions inside it.
 */
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { eventsView, rowsFromLog } from '../../lake/rows-from-log.ts'
import { type ColumnType, TABLES, type TableDefinition } from '../../lake/tables.ts'
import type { QueryJob, TableInput, TailInput } from '../../query/query-engine.ts'

export interface SandboxLimits {
  readonly memoryLimitMb: number
  readonly threadCount: number
}

/** Made ahead of the query, since making it takes longer than most queries. */
export interface BareInstance {
  readonly instance: DuckDBInstance
  readonly connection: DuckDBConnection
}

export async function bareInstance(): Promise<BareInstance> {
  const instance = await DuckDBInstance.create(':memory:')
  return { instance, connection: await instance.connect() }
}

/** Turns a bare instance into a sandbox; rejects when a view cannot be made (a file is missing). */
export async function closeSandbox(
  { connection }: BareInstance,
  job: Pick<QueryJob, 'tables' | 'tail'>,
  limits: SandboxLimits,
): Promise<void> {
  for (const statement of sandboxStatements(job, limits)) await connection.run(statement)
}

/** Every path of a job, for `allowed_paths` and for taking them out of messages. */
export function pathsOf({ tables, tail }: Pick<QueryJob, 'tables' | 'tail'>): string[] {
  const files = Object.values(tables).flatMap((table) => table.files)
  return [...new Set([...files, ...(tail?.files ?? [])])]
}

function sandboxStatements(
  job: Pick<QueryJob, 'tables' | 'tail'>,
  { memoryLimitMb, threadCount }: SandboxLimits,
): string[] {
  return [
    // Views bind when they are made, and times in them are UTC.
    "SET TimeZone = 'UTC'",
    "SET temp_directory = ''",
    `SET memory_limit = '${memoryLimitMb}MiB'`,
    `SET threads = ${threadCount}`,
    'SET autoinstall_known_extensions = false',
    'SET autoload_known_extensions = false',
    ...relations(job),
    `SET allowed_paths = ${list(pathsOf(job))}`,
    'SET enable_external_access = false',
    'SET lock_configuration = true',
  ]
}

function relations({ tables, tail }: Pick<QueryJob, 'tables' | 'tail'>): string[] {
  const bases = TABLES.map(
    (table) => `CREATE VIEW lake.${table.name} AS ${rowsOf(table, tables[table.name], tail)}`,
  )
  return [
    'CREATE SCHEMA lake',
    ...bases,
    `CREATE VIEW main.events AS ${eventsView('lake.events')}`,
    'CREATE VIEW main.identities AS FROM lake.identities',
    'CREATE VIEW main.rejections AS FROM lake.rejections',
    `CREATE VIEW main.people AS ${PEOPLE}`,
  ]
}

/** The newest identification of each visitor; the later place in the log decides between equals. */
const PEOPLE = `SELECT visitor_id, user_id, identified_at, traits FROM lake.identities
WHERE visitor_id IS NOT NULL AND user_id IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY visitor_id
  ORDER BY identified_at DESC, log_offset DESC, event_index DESC) = 1`

function rowsOf(table: TableDefinition, input: TableInput, tail: TailInput | undefined): string {
  const names = table.columns.map(({ name }) => `"${name}"`).join(', ')
  const parts: string[] = []
  if (input.files.length > 0) {
    const files = list(input.files)
    parts.push(`SELECT ${names} FROM read_parquet(${files}, hive_partitioning = false)`)
  }
  if (tail !== undefined && tail.files.length > 0) {
    const { logId, sources, forms } = tail
    const { fromOffset } = input
    const lines = list(tail.files)
    const rows = rowsFromLog({ table: table.name, lines, sources, logId, fromOffset, forms })
    parts.push(`SELECT ${names} FROM (${rows})`)
  }
  return parts.length === 0 ? emptyRows(table) : parts.join('\nUNION ALL\n')
}

const SQL_TYPES: Record<ColumnType, string> = {
  string: 'VARCHAR',
  int: 'INTEGER',
  long: 'BIGINT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamptz: 'TIMESTAMPTZ',
}

function emptyRows(table: TableDefinition): string {
  const columns = table.columns.map(({ name, type }) => `NULL::${SQL_TYPES[type]} AS "${name}"`)
  return `SELECT ${columns.join(', ')} WHERE false`
}

function list(paths: readonly string[]): string {
  return `[${paths.map((path) => `'${path.replaceAll("'", "''")}'`).join(', ')}]`
}
