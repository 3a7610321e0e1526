/**
 * Port: turns a file of record lines into the lake's data files. The engine behind it is an adapter's
 * business; what rows there are is said by lake/rows-from-log.ts alone.
 */
import type { RecordForms } from '../lake/record-forms.ts'
import type { TableDefinition } from '../lake/tables.ts'

export type TableName = TableDefinition['name']

export interface RowsRequest {
  /** Path of a file of whole record lines of one tenant, their checks verified. */
  readonly lines: string
  /** An empty folder; the files are made in it and are the caller's afterwards. */
  readonly folder: string
  readonly logId: string
  readonly sources: readonly { readonly sourceNo: number; readonly name: string }[]
  /** Records below it give no rows: the table has them. `events` starts at the first line. */
  readonly fromOffset: { readonly identities: number; readonly rejections: number }
  /** Local paths of files of `rejections` whose rows are not made again, by `rejection_id`. */
  readonly earlierRejections: readonly string[]
  /** What the lines hold: what they do not is not looked for. */
  readonly forms: RecordForms
  /** Local paths of the lake's files of `events` of these days (inclusive) that hold event ids. */
  earlierEvents(firstDay: number, lastDay: number): Promise<readonly string[]>
}

export interface RowsFile {
  readonly table: TableName
  readonly path: string
  /** Days since 1970-01-01, UTC; all rows are of this day. */
  readonly partitionDay: number
  /** For `dataFileOf`. */
  readonly stats: Readonly<Record<string, unknown>>
}

export interface WrittenRows {
  /** One or more for each day that has rows, none for a table without any. */
  readonly files: readonly RowsFile[]
  /** Events left out because one of the same source and `event_id` came before. */
  readonly duplicateCount: number
}

export interface LakeWriter {
  /**
   * Rows keep the order of the log inside a file. The same request over the same lake gives the same
   * rows. Rejects with JobFailure when the engine fails on the lines, and with anything else when
   * the disk or the lake's own files failed it. Files that were made so far are left in the folder.
   */
  write(request: RowsRequest): Promise<WrittenRows>
  close(): void
}

/** A producer's `eventId` is looked for in the lake this many days before and after the events. */
export const DEDUPLICATION_DAYS = { before: 7, after: 1 } as const
