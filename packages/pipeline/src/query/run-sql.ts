/**
 * One SQL question of a tenant: the lake's snapshot, the log's tail from exactly its offset, and the
 * engine over both.
 *
 * Promise: an event whose acknowledgement was sent before the question came is in the answer, once.
 * Why that holds:
 * - A commit of a table adds files and moves the table's progress together: what is below it is in the
 *   files, what is not below it is not, whatever is delivered meanwhile.
 * - Delivery commits `events` last, so whatever is below the progress of `events` is in all three tables,
 *   and a table without rows is not committed at all: its own progress may lag for ever. `events` is
 *   read first and the others after it, so that they are at least as new. Hence each table's tail begins
 *   at P = the greater of its own progress and that of `events`: below P it is complete (by its own
 *   commit, or by those that came before the commit of `events`), and at or above P nothing is in its
 *   files, since files reach as far as its own progress and no further.
 * - The snapshots are read first, the log's end E after them. An acknowledged record is durable, so its
 *   offset is below E, and the tail is extended to E. A record below P comes from the files alone, one in
 *   [P, E) from the tail alone. If delivery moves on in between, this question keeps its own P; delivered
 *   segments stay in the log for a while, so [P, E) is there to be read.
 * - Progress counts only under the same log identity. A lake that was moved to another log starts at 0 of
 *   this one, as delivery does.
 */
import { type Problem, problem } from '@millrace/protocol'
import type { LogReader } from '../log/event-log.ts'
import type { TenantStore } from '../tenants/tenant-store.ts'
import type {
  QueryAnswer,
  QueryEngine,
  SqlParameters,
  TableInput,
  TableName,
} from './query-engine.ts'
import { type Tail, type Tails, TailTooLong } from './tail.ts'

/** One table of one tenant as of one commit. */
export interface LakeSnapshot {
  readonly files: readonly { readonly localPath: string }[]
  /** Undefined when nothing was delivered yet. */
  readonly progress?: { readonly logId: string; readonly nextOffset: number } | undefined
}

/** No files and no progress for a table that does not exist yet. */
export type ReadSnapshot = (tenantId: string, table: TableName) => Promise<LakeSnapshot>

export interface SqlRunnerParts {
  readonly engine: QueryEngine
  readonly tails: Tails
  readonly log: LogReader
  readonly tenants: Pick<TenantStore, 'sources'>
  readonly lakeSnapshot: ReadSnapshot
  /** Milliseconds of a clock that never jumps. */
  readonly elapsed: () => number
}

export interface SqlRequest {
  readonly tenant: { readonly tenantNo: number; readonly tenantId: string }
  readonly sql: string
  readonly parameters: SqlParameters
  readonly format: 'json' | 'csv'
  readonly maxRows: number
  readonly timeoutMs: number
}

export interface SqlStats {
  readonly elapsedMs: number
  readonly rowCount: number
  /** Parquet files of the snapshots. */
  readonly lakeFiles: number
  /** Records, and their bytes, that were read from the log because they are not in the lake yet. */
  readonly tailRecords: number
  readonly tailBytes: number
}

export interface SqlResult extends QueryAnswer {
  readonly stats: SqlStats
}

export type SqlOutcome = SqlResult | { readonly problem: Problem }
export type RunSql = (request: SqlRequest, signal?: AbortSignal) => Promise<SqlOutcome>

/** Rejects only for a fault of ours. */
export function sqlRunner(parts: SqlRunnerParts): RunSql {
  return async (request, signal) => {
    const startedMs = parts.elapsed()
    const opened = await openTables(parts, request, startedMs, signal)
    if ('problem' in opened) return opened
    const { tables, tail } = opened
    try {
      const answer = await parts.engine.run(jobOf(parts, request, tables, tail), signal)
      if ('problem' in answer) return answer
      const lakeFiles = Object.values(tables).reduce((sum, table) => sum + table.files.length, 0)
      return {
        ...answer,
        stats: {
          elapsedMs: Math.round(parts.elapsed() - startedMs),
          rowCount: answer.rowCount,
          lakeFiles,
          tailRecords: tail.recordCount,
          tailBytes: tail.bytes,
        },
      }
    } finally {
      tail.release()
    }
  }
}

/** How often a question looks whether delivery has caught up. */
const CATCH_UP_MS = 250
const TAIL_HINT = 'Ask again in a minute. If it lasts, delivery stands still: see the server log.'

/**
 * Tables and tail of one question. When more waits in the log than a question may read, delivery is behind
 * (a large import): it is waited for within the question's own time, with everything read anew.
 */
async function openTables(
  parts: SqlRunnerParts,
  { tenant, timeoutMs }: SqlRequest,
  startedMs: number,
  signal: AbortSignal | undefined,
): Promise<{ tables: Record<TableName, TableInput>; tail: Tail } | { problem: Problem }> {
  for (;;) {
    const tables = await readTables(parts, tenant.tenantId)
    const fromOffset = Math.min(...Object.values(tables).map((table) => table.fromOffset))
    try {
      return { tables, tail: await parts.tails.acquire(tenant.tenantNo, fromOffset) }
    } catch (error) {
      if (!(error instanceof TailTooLong)) throw error
      const isOver = parts.elapsed() - startedMs + CATCH_UP_MS > timeoutMs
      if (isOver || signal?.aborted === true) {
        return { problem: problem('unavailable', error.message, { hint: TAIL_HINT }) }
      }
    }
    await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS))
  }
}

async function readTables(
  parts: SqlRunnerParts,
  tenantId: string,
): Promise<Record<TableName, TableInput>> {
  const events = await readTable(parts, tenantId, 'events', 0)
  // Not together with `events`: see above.
  const [identities, rejections] = await Promise.all([
    readTable(parts, tenantId, 'identities', events.fromOffset),
    readTable(parts, tenantId, 'rejections', events.fromOffset),
  ])
  return { events, identities, rejections }
}

async function readTable(
  parts: SqlRunnerParts,
  tenantId: string,
  table: TableName,
  fromOffsetMin: number,
): Promise<TableInput> {
  const { files, progress } = await parts.lakeSnapshot(tenantId, table)
  const own = progress?.logId === parts.log.logId ? progress.nextOffset : 0
  return {
    files: files.map((file) => file.localPath),
    fromOffset: Math.max(own, fromOffsetMin),
  }
}

function jobOf(
  parts: SqlRunnerParts,
  request: SqlRequest,
  tables: Record<TableName, TableInput>,
  tail: Tail,
) {
  const { tenantNo } = request.tenant
  const sources = parts.tenants.sources(tenantNo).map(({ sourceNo, name }) => ({ sourceNo, name }))
  const { sql, parameters, format, maxRows, timeoutMs } = request
  const lines = { files: tail.files, forms: tail.forms, logId: parts.log.logId, sources }
  return {
    ...{ tenantNo, sql, parameters, format, maxRows, timeoutMs, tables },
    tail: tail.files.length === 0 ? undefined : lines,
  }
}
