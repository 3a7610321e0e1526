/**
 * The log on disk: a folder of segments that are only appended to, and who holds what of them.
 *
 * recovery.ts opens the folder, segment-writer.ts appends, the tenant index knows where each
 * tenant's durable records stand, read-plan.ts reads them. This file puts the four together and
 * owns nothing. The caller holds the lock of the data folder (kit/folder-lock.ts): one writer per
 * folder.
 */
import { join } from 'node:path'
import type { Clock, Random } from '../kit/clock.ts'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import type { FileSystem } from '../kit/files.ts'
import type {
  Appended,
  BatchEntry,
  LogReader,
  LogWriter,
  Pending,
  RecordRange,
  TenantTotals,
} from './event-log.ts'
import { type ReadPlan, readPlanned } from './read-plan.ts'
import { type RecoveredLog, type RecoveryReport, recoverLog } from './recovery.ts'
import { segmentName } from './segment.ts'
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
  /** How long a group gathers before its write; 0: until the event loop's turn ends. */
  readonly groupDelayMs?: number
  /**
   * Told of what does no harm to the log but should be seen: a sidecar that could not be written.
   */
  readonly onFault?: (error: unknown) => void
}

/**
 * 165,000 median events: some seconds of a busy tenant, and a sidecar of a quarter of a megabyte.
 */
const SEGMENT_BYTES_MAX = 64 * 1_048_576
/** Segments are read whole at start and addressed with 32 bits in sidecars. */
const SEGMENT_BYTES_LIMIT = 1_024 * 1_048_576
/** Half a second of a disk that writes 64 MB/s. */
const QUEUE_BYTES_MAX = 32 * 1_048_576
/** Above this a group's wait would be what its senders notice most. */
const GROUP_DELAY_MS_MAX = 5

export interface DiskLog extends LogWriter, LogReader {
  /** What opening the folder found and mended. */
  readonly recovered: RecoveryReport
  /** Why nothing is appended any more; undefined while all is well. */
  fault(): MillraceError | undefined
  /** Bytes that wait for the disk now. */
  waitingBytes(): number
  /** What `read` would read, for a process that has the files but not the index. */
  plan(tenantNo: number, fromOffset: number, bytesMax: number): ReadPlan | undefined
}

/**
 * Opens or makes the log of a folder. Rejects with MillraceError; never serves what is not checked.
 */
export async function openDiskLog(options: DiskLogOptions): Promise<DiskLog> {
  const {
    segmentBytesMax = SEGMENT_BYTES_MAX,
    queueBytesMax = QUEUE_BYTES_MAX,
    groupDelayMs = 0,
  } = options
  expectRange('segmentBytesMax', segmentBytesMax, 1, SEGMENT_BYTES_LIMIT)
  expectRange('queueBytesMax', queueBytesMax, 1, SEGMENT_BYTES_LIMIT)
  expectRange('groupDelayMs', groupDelayMs, 0, GROUP_DELAY_MS_MAX)
  const recovered = await recoverLog(options).catch((error) => {
    throw openError(options.folder, error)
  })
  const limits = { segmentBytesMax, queueBytesMax, groupDelayMs }
  return new FolderLog(options, new SegmentWriter({ ...options, ...limits }, recovered), recovered)
}

class FolderLog implements DiskLog {
  readonly logId: string
  readonly recovered: RecoveryReport
  readonly #folder: string
  readonly #files: FileSystem
  readonly #writer: SegmentWriter
  readonly #index: TenantIndex

  constructor(at: DiskLogOptions, writer: SegmentWriter, recovered: RecoveredLog) {
    this.logId = recovered.open.header.logId
    this.recovered = recovered.report
    this.#folder = at.folder
    this.#files = at.files
    this.#writer = writer
    this.#index = recovered.index
  }

  append(entry: BatchEntry): Promise<Appended> {
    return this.#writer.append(entry)
  }
  close(): Promise<void> {
    return this.#writer.close()
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
      return { ...piece, path: join(this.#folder, segmentName(piece.segment)) }
    })
    return { ...slice, logId: this.logId, tenantNo, fromOffset, pieces }
  }

  async read(
    tenantNo: number,
    fromOffset: number,
    bytesMax: number,
  ): Promise<RecordRange | undefined> {
    const plan = this.plan(tenantNo, fromOffset, bytesMax)
    return plan === undefined ? undefined : readPlanned(this.#files, plan)
  }

  /** Every segment is kept: nothing here needs the hint. */
  commit(_tenantNo: number, _offset: number): void {}
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
