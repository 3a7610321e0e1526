/**
 * The port between a question and the engine that answers it.
 *
 * The engine is given everything as exact names: the files of each table's snapshot, the files of the
 * log's tail, and from which offset the tail counts for which table. It never sees a folder, a log
 * segment or a credential, so what it was not handed it cannot read.
 */

import type { Problem } from '@millrace/protocol'
import type { RecordForms } from '../lake/record-forms.ts'
import type { TableDefinition } from '../lake/tables.ts'

export type TableName = TableDefinition['name']

/** What a `?` or a `$name` of the statement stands for. */
export type SqlParameter = string | number | boolean | null
export type SqlParameters = readonly SqlParameter[] | Readonly<Record<string, SqlParameter>>

export interface TableInput {
  /** Parquet files of one snapshot. */
  readonly files: readonly string[]
  /** Records of the tail below it are in `files` already. */
  readonly fromOffset: number
}

/** Record lines of the tenant (docs/formats/log.md) in files that do not change while the query runs. */
export interface TailInput {
  readonly files: readonly string[]
  /** What they hold: a form that is not there is not looked for. */
  readonly forms: RecordForms
  readonly logId: string
  readonly sources: readonly { readonly sourceNo: number; readonly name: string }[]
}

export interface QueryJob {
  /** Whose question it is: tenants take turns. */
  readonly tenantNo: number
  readonly sql: string
  readonly parameters: SqlParameters
  readonly format: 'json' | 'csv'
  readonly maxRows: number
  /** From the moment the engine starts on it. */
  readonly timeoutMs: number
  readonly tables: Readonly<Record<TableName, TableInput>>
  readonly tail: TailInput | undefined
}

export interface ResultColumn {
  readonly name: string
  readonly type: string
}

export interface QueryAnswer {
  readonly columns: readonly ResultColumn[]
  /** UTF-8: `[[…],[…]]`, or CSV with its header. Rendered where the rows are, passed on unread. */
  readonly body: Uint8Array
  readonly rowCount: number
  /** There were more rows than `maxRows`, or more bytes than an answer may have. */
  readonly truncated: boolean
}

export interface QueryEngine {
  /**
   * Answers, or says in a problem why not (invalid_sql, sql_refused, query_timeout, query_failed,
   * too_many_requests, unavailable); rejects only for a fault of ours. Returns at the latest when the
   * time of the job plus the engine's queue and grace are over. An aborted job is stopped. Whatever a
   * statement does, this process and the other jobs are unharmed.
   */
  run(job: QueryJob, signal?: AbortSignal): Promise<QueryAnswer | { readonly problem: Problem }>
  /** Stops what runs. Idempotent. */
  close(): Promise<void>
}
