/**
 * One statement, start to end, inside the query process: sandbox, gate, run, render.
 *
 * The rows are read as a stream up to the caps and rendered here, so that the server passes the bytes
 * on without looking at them and a wide result never stands in its memory as objects. Whatever the
 * engine says is told without the paths of files; a fault that is not the statement's rejects.
 */
import {
  BIGINT,
  BOOLEAN,
  DOUBLE,
  type DuckDBConnection,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBType,
  type DuckDBValue,
  INTEGER,
  SQLNULL,
  StatementType,
  VARCHAR,
} from '@duckdb/node-api'
import { type Problem, type ProblemCode, problem } from '@millrace/protocol'
import { csvLine, type JsonValue } from '../../query/csv.ts'
import { gate, type Refusal } from '../../query/gate.ts'
import type { QueryAnswer, QueryJob, SqlParameter } from '../../query/query-engine.ts'
import { pathsOf } from './query-sandbox.ts'
import { jsonOf } from './query-values.ts'

export type Outcome = QueryAnswer | { readonly problem: Problem }

export async function execute(
  connection: DuckDBConnection,
  job: QueryJob,
  bodyBytesMax: number,
): Promise<Outcome> {
  try {
    const refusal = await inspect(connection, job.sql)
    if (refusal !== undefined) return { problem: problemOf(refusal) }
    const statement = await connection.prepare(job.sql)
    if (statement.statementType !== StatementType.SELECT) {
      return { problem: problem('sql_refused', 'not allowed: a statement that is not a SELECT') }
    }
    const missing = bind(statement, job)
    if (missing !== undefined) return { problem: problem('invalid_sql', missing) }
    return await render(await statement.stream(), job, bodyBytesMax)
  } catch (error) {
    const said = engineProblem(error, job)
    if (said === undefined) throw error
    return { problem: said }
  }
}

async function inspect(connection: DuckDBConnection, sql: string): Promise<Refusal | undefined> {
  const reader = await connection.runAndReadAll(TREE_OF, [sql], [VARCHAR])
  const tree: unknown = JSON.parse(String(reader.value(0, 0)))
  // Text that does not parse has no count, and the tree says why.
  const failed = (tree as { error?: boolean; error_type?: string }).error_type === 'parser'
  return gate(failed ? 0 : (await connection.extractStatements(sql)).count, tree)
}

const TREE_OF =
  'SELECT json_serialize_sql($1::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)'

function problemOf({ code, detail, hint }: Refusal): Problem {
  return problem(code, detail, hint === undefined ? {} : { hint })
}

/** What is wrong with the parameters, or undefined. */
function bind(statement: DuckDBPreparedStatement, { parameters }: QueryJob): string | undefined {
  const named = Array.isArray(parameters)
    ? Object.fromEntries(parameters.map((value, place) => [String(place + 1), value]))
    : (parameters as Readonly<Record<string, SqlParameter>>)
  const given = new Map(Object.entries(named))
  for (let place = 1; place <= statement.parameterCount; place++) {
    const name = statement.parameterName(place)
    const value = given.get(name)
    if (value === undefined) return `the statement has a parameter ${name}, none was given`
    given.delete(name)
    statement.bindValue(place, ...typed(value))
  }
  const [unused] = given.keys()
  return unused === undefined ? undefined : `the statement has no parameter ${unused}`
}

function typed(value: SqlParameter): [DuckDBValue, DuckDBType] {
  if (value === null) return [null, SQLNULL]
  if (typeof value === 'string') return [value, VARCHAR]
  if (typeof value === 'boolean') return [value, BOOLEAN]
  if (!Number.isSafeInteger(value)) return [value, DOUBLE]
  return Math.abs(value) <= 2_147_483_647 ? [value, INTEGER] : [BigInt(value), BIGINT]
}

async function render(
  result: DuckDBResult,
  { format, maxRows }: QueryJob,
  bodyBytesMax: number,
): Promise<QueryAnswer> {
  const names = result.columnNames()
  const types = result.columnTypes()
  const columns = names.map((name, place) => ({ name, type: typeName(types[place]) }))
  const lines: string[] = format === 'csv' ? [csvLine(names)] : []
  let bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0)
  const answer = (rowCount: number, truncated: boolean): QueryAnswer => {
    const text = format === 'csv' ? lines.join('') : `[${lines.join(',\n')}]`
    return { columns, body: Buffer.from(text), rowCount, truncated }
  }
  let rowCount = 0
  for (;;) {
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) return answer(rowCount, false)
    for (let row = 0; row < chunk.rowCount; row++) {
      if (rowCount === maxRows) return answer(rowCount, true)
      const line = renderRow(chunk.getRowValues(row).map(jsonOf), format)
      bytes += Buffer.byteLength(line) + 2
      if (bytes > bodyBytesMax) return answer(rowCount, true)
      lines.push(line)
      rowCount++
    }
  }
}

function renderRow(values: readonly JsonValue[], format: QueryJob['format']): string {
  return format === 'csv' ? csvLine(values) : JSON.stringify(values)
}

function typeName(type: DuckDBType | undefined): string {
  return type?.alias ?? String(type)
}

/** The statement's fault by the engine's first words; undefined when it is not the statement's. */
const ENGINE_ERRORS: readonly [RegExp, ProblemCode][] = [
  // INTERNAL and FATAL are the engine's own bugs: the statement met one, the process is replaced.
  [/^(Out of Memory|INTERNAL|FATAL|TransactionContext) Error/, 'query_failed'],
  [/^INTERRUPT/, 'query_timeout'],
  [/^Permission Error/, 'sql_refused'],
  [
    /^(Parser|Binder|Catalog|Conversion|Out of Range|Invalid Input|Invalid type|Mismatch Type)/,
    'invalid_sql',
  ],
  [
    /^(Syntax|Not implemented|Constraint|Parameter Not|Invalid Configuration|Expression)/,
    'invalid_sql',
  ],
  [/^(Failed to extract statements|Failed to prepare)/, 'invalid_sql'],
]

function engineProblem(error: unknown, job: QueryJob): Problem | undefined {
  const message = error instanceof Error ? error.message : String(error)
  const code = ENGINE_ERRORS.find(([pattern]) => pattern.test(message))?.[1]
  if (code === undefined) return undefined
  // After the first line of this one the engine advises settings that nobody here can set.
  const words = message.startsWith('Out of Memory') ? message.split('\n', 1)[0]! : message
  return problem(code, withoutPaths(words, pathsOf(job)))
}

const MESSAGE_LENGTH_MAX = 2_000

/** A message without where the files lie: the job's own, their folders, and what looks like a file. */
export function withoutPaths(message: string, paths: readonly string[]): string {
  const folders = paths.map((path) => path.slice(0, path.lastIndexOf('/'))).filter(Boolean)
  let text = message
  for (const path of new Set([...paths, ...folders])) text = text.replaceAll(path, '[file]')
  return text
    .replaceAll(
      /(?<![\w.])(?:\/[^\s/'"]+)+\.(?:parquet|ndjson|duckdb|so|node|cpp|hpp)\b/g,
      '[file]',
    )
    .slice(0, MESSAGE_LENGTH_MAX)
}
