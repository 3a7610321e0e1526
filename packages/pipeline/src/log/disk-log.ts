/**
 * The log on disk: a folder of segments that are only appended to, and who holds what of them.
 *
 * recovery.ts opens the folder, segment-writer.ts appends, the tenant index knows where each
 * tenant's durable records stand, read-plan.ts reads them, and inspection.ts looks closer where a
 * reader meets damage; retention.ts drops what is delivered. This file puts them together and owns nothing. The caller holds the lock of the data folder (kit/folder-lock.ts): one writer per
 * folder.
 */
import { join } from 'node:path'
import type { Clock, Random } from '../kit/clock.ts'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import type { FileSystem } from '../kit/files.ts'
import type { DamageReport } from './damage.ts'
import { DiskReserve } from './disk-reserve.ts'
import type {
  Appended,
  BatchEntry,
  LogReader,
  LogWriter,
  Pending,
  RecordRange,
  TenantTotals,
} from './event-log.ts'
import { inspectSegment } from './inspection.ts'
import { type ReadPlan, readPlanned, UnreadablePiece } from './read-plan.ts'
import {
  type RecoveredLog,
  type RecoveryReport,
  recoverLog,
  SEGMENT_BYTES_LIMIT,
} from './recovery.ts'
import { Retention } from './retention.ts'
import { segmentName } from './segment.ts'
import type { RetainedSegments } from './segment-facts.ts'
import { isFull, SegmentWriter } from './segment-writer.ts'
import type { TenantIndex } from './tenant-index.ts'

export interface DiskLogOptions {
  /** Holds nothing but the log; made if missing. */
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** A group that starts past this starts a new segment. */
  readonly segmentBytesMax?: number
  /** Bytes that may wait for the disk, those being written included. */
  readonly queueBytesMax?: number
  /** A busy log begins no group sooner after another (group-pace.ts); default 0: as the disk allows. */
  readonly groupMs?: number
  /** Batches are refused while less than this is free on the folder's disk; default 0: never. */
  readonly diskReserveBytes?: number
  /**
   * Told of what does no harm to the log but should be seen: a sidecar that could not be written.
   */
  readonly onFault?: (error: unknown) => void
  /** Told of damage that is found while the log runs; what opening finds is in `recovered`. */
  readonly onDamage?: (report: DamageReport) => void
  /** Told once that nothing is appended any more: only a restart, which reads the disk, mends it. */
  readonly onFence?: (error: MillraceError) => void
  /** How long a delivered segment is kept after its newest record was received. */
  readonly keepMs?: number
  /** Below this much free space delivered segments go whatever their age. */
  readonly pressureBytes?: number
  /**
   * Asked at start: by tenant, up to which offset the lake has this log. Of these records no row is
   * kept in memory; without it every retained record has one until it is committed.
   */
  readonly delivered?: (logId: string) => Promise<ReadonlyMap<number, number>>
  /** How many of the newest batches are known without a look into a sidecar. */
  readonly exactBatches?: number
  /** Told which tenants keep the oldest segment from going; a delivery of theirs frees it. */
  readonly onHeldBack?: (tenants: readonly number[]) => void
}

/**
 * 165,000 median events: some seconds of a busy tenant, and a sidecar of a quarter of a megabyte.
 */
const SEGMENT_BYTES_MAX = 64 * 1_048_576
/** Half a second of a disk that writes 64 MB/s. */
const QUEUE_BYTES_MAX = 32 * 1_048_576
/** Above this a group's wait would be what its senders notice most. */
const GROUP_MS_MAX = 5
/** Looks at a segment that find nothing new, before a reader is told that it cannot be read. */
const VAIN_INSPECTIONS_MAX = 2
/** A batch sent again within a day is still known. */
const KEEP_MS = 24 * 3_600_000
/** What delivery and compaction of a busy tenant may need at once. */
const PRESSURE_BYTES = 2_048 * 1_048_576

export interface DiskLog extends LogWriter, LogReader {
  /** What opening the folder found and mended. */
  readonly recovered: RecoveryReport
  /** Why nothing is appended now; undefined while all is well. */
  fault(): MillraceError | undefined
  /** Known damage: records that cannot be served, and segments that have some. */
  damage(): { readonly recordCount: number; readonly segmentCount: number }
  /**
   * Looks through one segment, marks what is damaged in it, and keeps it in the quarantine. For a
   * reader that met damage: a plan made afterwards leaves it out.
   */
  inspect(segment: number): Promise<void>
  /** Bytes that wait for the disk now. */
  waitingBytes(): number
  /** What `read` would read, for a process that has the files but not the index. */
  plan(tenantNo: number, fromOffset: number, bytesMax: number): ReadPlan | undefined
  /** Drops the segments that may go now. By itself every two seconds. Never rejects. */
  retain(): Promise<void>
  kept(): KeptSegments
}

export interface KeptSegments {
  /** Segments with records, the open one included. */
  readonly segmentCount: number
  readonly bytes: number
  /** Since the start. */
  readonly droppedSegmentCount: number
}

/**
 * Opens or makes the log of a folder. Rejects with MillraceError; never serves what is not checked.
 */
export async function openDiskLog(options: DiskLogOptions): Promise<DiskLog> {
  const {
    segmentBytesMax = SEGMENT_BYTES_MAX,
    queueBytesMax = QUEUE_BYTES_MAX,
    groupMs = 0,
    diskReserveBytes = 0,
  } = options
  expectRange('segmentBytesMax', segmentBytesMax, 1, SEGMENT_BYTES_LIMIT)
  expectRange('queueBytesMax', queueBytesMax, 1, SEGMENT_BYTES_LIMIT)
  expectRange('groupMs', groupMs, 0, GROUP_MS_MAX)
  const recovered = await recoverLog(options).catch((error) => {
    throw openError(options.folder, error)
  })
  const reserve = new DiskReserve(options.files, options.folder, diskReserveBytes)
  await reserve.check()
  const limits = { segmentBytesMax, queueBytesMax, groupMs, reserve }
  return new FolderLog(options, new SegmentWriter({ ...options, ...limits }, recovered), recovered)
}

class FolderLog implements DiskLog {
  readonly logId: string
  readonly recovered: RecoveryReport
  readonly #at: DiskLogOptions
  readonly #writer: SegmentWriter
  readonly #index: TenantIndex
  readonly #segments: RetainedSegments
  readonly #retention: Retention
  /** Records that cannot be served, by segment. */
  readonly #damage = new Map<number, number>()
  readonly #inspections = new Map<number, Promise<boolean>>()

  constructor(at: DiskLogOptions, writer: SegmentWriter, recovered: RecoveredLog) {
    this.logId = recovered.open.header.logId
    this.recovered = recovered.report
    this.#at = at
    this.#writer = writer
    this.#index = recovered.index
    this.#segments = recovered.segments
    const { keepMs = KEEP_MS, pressureBytes = PRESSURE_BYTES } = at
    const kept = { ...recovered, logId: this.logId }
    this.#retention = new Retention({ ...at, keepMs, pressureBytes }, kept)
    for (const { segment, recordCount } of recovered.report.damaged) {
      this.#damage.set(segment, recordCount)
    }
  }

  append(entry: BatchEntry): Promise<Appended> {
    return this.#writer.append(entry)
  }
  async close(): Promise<void> {
    const closed = this.#writer.close()
    await this.#retention.close()
    await closed
  }
  fault(): MillraceError | undefined {
    return this.#writer.fault()
  }
  waitingBytes(): number {
    return this.#writer.waitingBytes()
  }
  end(): number {
    return this.#writer.end()
  }
  tenants(): readonly number[] {
    return this.#index.tenants()
  }
  totals(tenantNo: number): TenantTotals {
    return this.#index.totals(tenantNo)
  }
  pending(tenantNo: number, fromOffset: number): Pending {
    return this.#index.pending(tenantNo, fromOffset)
  }

  plan(tenantNo: number, fromOffset: number, bytesMax: number): ReadPlan | undefined {
    const slice = this.#index.slice(tenantNo, fromOffset, bytesMax)
    if (slice === undefined) return undefined
    const pieces = slice.pieces.map((piece) => {
      return { ...piece, path: join(this.#at.folder, segmentName(piece.segment)) }
    })
    return { ...slice, logId: this.logId, tenantNo, fromOffset, pieces }
  }

  async read(
    tenantNo: number,
    fromOffset: number,
    bytesMax: number,
  ): Promise<RecordRange | undefined> {
    let from = fromOffset
    for (let vain = 0; ; ) {
      const plan = this.plan(tenantNo, from, bytesMax)
      if (plan === undefined) return undefined
      from = plan.nextOffset
      // All of it is damaged.
      if (plan.pieces.length === 0) continue
      try {
        return await readPlanned(this.#at.files, plan)
      } catch (error) {
        if (!(error instanceof UnreadablePiece)) throw error
        if (!(await this.#inspect(error.segment)) && ++vain > VAIN_INSPECTIONS_MAX) throw error
        from = plan.fromOffset
      }
    }
  }

  async inspect(segment: number): Promise<void> {
    await this.#inspect(segment)
  }

  /** Whether damage was found that was not known. Two readers of one segment share one look. */
  #inspect(segment: number): Promise<boolean> {
    const running = this.#inspections.get(segment)
    if (running !== undefined) return running
    const look = this.#look(segment).finally(() => this.#inspections.delete(segment))
    this.#inspections.set(segment, look)
    return look
  }

  async #look(segment: number): Promise<boolean> {
    const at = { ...this.#at, index: this.#index }
    const report = await inspectSegment(at, segment, this.#writer.durableBytes(segment))
    if (report === undefined) return false
    this.#writer.leave(segment)
    this.#damage.set(segment, report.recordCount)
    this.#at.onDamage?.(report)
    return true
  }

  damage(): { recordCount: number; segmentCount: number } {
    const counts = [...this.#damage.values()]
    return {
      recordCount: counts.reduce((sum, count) => sum + count, 0),
      segmentCount: counts.length,
    }
  }

  commit(tenantNo: number, offset: number): void {
    this.#retention.commit(tenantNo, offset)
  }
  retain(): Promise<void> {
    return this.#retention.run()
  }
  kept(): KeptSegments {
    const { all } = this.#segments
    return {
      segmentCount: all.length,
      bytes: all.reduce((sum, { endByte }) => sum + endByte, 0),
      droppedSegmentCount: this.#retention.droppedCount,
    }
  }
}

function openError(folder: string, error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  const errno = errnoOf(error)
  const code = isFull(error)
    ? 'disk_full'
    : errno === 'EIO' || errno === undefined
      ? 'disk_failed'
      : 'data_unreadable'
  const reason = errno ?? (error as Error).message
  return new MillraceError(code, `cannot open the log in ${folder}: ${reason}`, { cause: error })
}

function expectRange(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return
  throw new RangeError(`${name} is ${value}, must be between ${min} and ${max}`)
}
