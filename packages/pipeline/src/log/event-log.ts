/**
 * The event log: what the collector appends to and delivery reads from.
 *
 * Two ports, because some logs can only be written (Data Firehose brings its own delivery). A record
 * is one batch of one source; its offset is an ordinal that is given once, never reused and never
 * renumbered. Order is the order of offsets; client clocks play no part in it.
 *
 * Invariants
 * - `append` resolves only when the record is on stable storage.
 * - A batch (tenant, source, batchId) is appended once for as long as the log retains it.
 * - What is not committed as delivered is retained, whatever its age.
 * - Readers never see a record that could still be lost.
 */
import type { Rejection } from '@millrace/protocol'

/** A refused event inside a record: why, and the bytes as they came. */
export interface RecordedRejection extends Rejection {
  /** The event's own text; cut at `RAW_LENGTH_MAX` characters. */
  readonly raw: string
}

/** What the collector hands over: one validated batch, its events still the bytes that came. */
export interface BatchEntry {
  readonly tenantNo: number
  readonly sourceNo: number
  readonly receivedMs: number
  readonly sentMs: number | null
  readonly batchId: string
  /** Accepted events in `events` or `packed`. */
  readonly eventCount: number
  /** `RECORD_FLAGS` or-ed. */
  readonly flags: number
  /** Places of the accepted events in the batch as sent; null when none was refused. */
  readonly indexes: readonly number[] | null
  /** JSON object text: the envelope's defaults. */
  readonly defaults: string
  /** JSON object text: what only the request knew. */
  readonly context: string
  /** JSON array text of the accepted events, without raw newlines; UTF-8. Not used with `packed`. */
  readonly events: Uint8Array
  /**
   * JSON object text of all events as packed columns (docs/formats/wire.md), without raw newlines;
   * null when they are in `events`. A batch with refused events has none.
   */
  readonly packed: Uint8Array | null
  readonly rejections: readonly RecordedRejection[]
}

/** Hints to the reader of a record about `data`; see docs/formats/log.md. */
export const RECORD_FLAGS = {
  /** Some event's `data` has keys that are not columns. */
  mixed: 1,
  /** Some `data` key that is a column holds another kind of value: `data` is kept whole. */
  wild: 2,
  /** Times are kept as they are (imports). */
  historical: 4,
} as const

export interface Appended {
  /** Of the record; -1 for a duplicate of which only the counts are remembered. */
  readonly offset: number
  /** This batch id was there already: nothing was appended, the counts are the first batch's. */
  readonly duplicate: boolean
  readonly acceptedCount: number
  readonly rejectedCount: number
  /** A duplicate whose event count differs from the first: two batches under one id. */
  readonly conflict: boolean
}

export interface LogWriter {
  /**
   * Resolves when the record is on stable storage, or at once for a duplicate whose first is.
   * Idempotent by (tenant, source, batchId). Rejects with MillraceError `disk_full` (nothing of this
   * record is kept; try again) or `disk_failed` (the log is fenced; restart). Bounded: rejects with
   * LogBusy when more than `queueBytesMax` wait. The entry's bytes are the log's until then.
   */
  append(entry: BatchEntry): Promise<Appended>
  /** Waits for what is under way, seals nothing, releases the folder. Idempotent. */
  close(): Promise<void>
}

/** Too many bytes wait for the disk: an expected outcome under overload, answered with 503. */
export class LogBusy extends Error {
  override readonly name = 'LogBusy'
}

/** Records of one tenant, whole lines of JSON as in docs/formats/log.md, their checks verified. */
export interface RecordRange {
  /** Lines, each ending in a newline. */
  readonly lines: Uint8Array
  readonly recordCount: number
  readonly eventCount: number
  /** Read on from here: one past the last record in `lines`. */
  readonly nextOffset: number
}

/** What waits for one tenant from an offset on, without reading it. */
export interface Pending {
  readonly bytes: number
  readonly recordCount: number
  readonly eventCount: number
  /** `receivedMs` of the oldest of them; null when nothing waits. */
  readonly oldestReceivedMs: number | null
  /** One past the tenant's last durable record, or `fromOffset` when nothing waits. */
  readonly nextOffset: number
}

/** Totals of a tenant over the retained log and what retention has dropped before. */
export interface TenantTotals {
  readonly acceptedCount: number
  readonly rejectedCount: number
  readonly recordCount: number
  /** Of the accepted events, those in records that are known to be damaged and cannot be read. */
  readonly damagedCount: number
}

export interface LogReader {
  /** 32 hex digits: offsets of logs with different identities have nothing to do with each other. */
  readonly logId: string
  /** One past the last durable record. */
  end(): number
  /** Tenants that have records, ascending. */
  tenants(): readonly number[]
  totals(tenantNo: number): TenantTotals
  pending(tenantNo: number, fromOffset: number): Pending
  /**
   * Durable records of one tenant from `fromOffset` on, at least one if there is one, else up to about
   * `bytesMax`. Scans no other tenant's bytes. Undefined when there is none. A record whose check
   * fails is never served: it is passed over, counted in `totals` and in what `pending` says.
   */
  read(tenantNo: number, fromOffset: number, bytesMax: number): Promise<RecordRange | undefined>
  /**
   * Everything of this tenant below `offset` is in the lake. Two minutes later the log may drop it, and
   * `pending` and `read` may pass over it; `totals` still counts it. Not kept: said again after a start.
   */
  commit(tenantNo: number, offset: number): void
}
