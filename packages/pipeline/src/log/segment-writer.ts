/**
 * The writing half of the log on disk: group commit.
 *
 * A batch is written into the gathering slab at once, with its offset and its place in the chain.
 * One write and one sync are under way at a time; what arrives meanwhile gathers and goes together
 * next, so a slow disk makes larger groups, not a longer queue of syncs, and a quick one is not given
 * small ones (group-pace.ts). A waiter is answered, and
 * a record enters the index that readers go by, only after the sync that covers it.
 *
 * Failures (docs/formats/log.md): a full disk, or no file handle left, costs the waiters their
 * batch, nothing of which is kept, and the log goes on; any other error of write or sync fences it,
 * since after a failed sync the page cache may say what the disk does not. A fenced log never
 * writes or syncs again, and still reads.
 */
import { join } from 'node:path'
import type { Clock } from '../kit/clock.ts'
import { errnoOf, MillraceError } from '../kit/errors.ts'
import { type FileSystem, replaceFile } from '../kit/files.ts'
import { AppendOnce } from './append-once.ts'
import type { BatchKey } from './batch-key.ts'
import type { BatchMemory } from './batch-memory.ts'
import type { DiskReserve } from './disk-reserve.ts'
import type { WriterEpoch } from './epoch.ts'
import { type Appended, type BatchEntry, LogBusy, type LogWriter } from './event-log.ts'
import { GroupPace } from './group-pace.ts'
import { createSegment, type OpenSegment } from './open-segment.ts'
import { appendRecord, Slab } from './record.ts'
import type { RecoveredLog } from './recovery.ts'
import { encodeHeader, type SegmentHeader, segmentName } from './segment.ts'
import type { RetainedSegments } from './segment-facts.ts'
import { sidecarName } from './sidecar.ts'
import type { KeyedRecord, TenantIndex } from './tenant-index.ts'

export interface WriterOptions {
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  /** A group that starts past this starts a new segment. */
  readonly segmentBytesMax: number
  /** Bytes that may wait for the disk, those being written included. */
  readonly queueBytesMax: number
  /** A busy log begins no group sooner after another (group-pace.ts); 0: as the disk allows. */
  readonly groupMs: number
  readonly reserve: DiskReserve
  readonly onFault?: ((error: unknown) => void) | undefined
  /** Told once, when the log is fenced. */
  readonly onFence?: ((error: MillraceError) => void) | undefined
}

const SLAB_BYTES = 1_048_576
/** A slab that one large group has grown past this is not kept. */
const SLAB_BYTES_KEPT = 8 * 1_048_576

/** Where the log ends: of what is encoded, or of what is durable. */
interface Tail {
  readonly segment: number
  /** Offset of the segment's first record. */
  readonly base: number
  readonly endByte: number
  readonly k: number
  readonly nextOffset: number
}

interface Waiter {
  readonly record: KeyedRecord
  readonly resolve: (appended: Appended) => void
  readonly reject: (error: Error) => void
}

/** Records that are written and synced together, all in one segment. */
interface Group {
  readonly slab: Slab
  readonly waiters: Waiter[]
  readonly startByte: number
  /** Set when the group begins a new segment. */
  readonly roll: SegmentHeader | undefined
  /** Where the log ends once the group is durable. */
  end: Tail
}

export class SegmentWriter implements LogWriter {
  readonly #options: WriterOptions
  readonly #index: TenantIndex
  readonly #memory: BatchMemory
  readonly #segments: RetainedSegments
  readonly #once: AppendOnce
  readonly #pace: GroupPace
  #open: OpenSegment
  #durable: Tail
  #gathering: Group | undefined
  #writing: Group | undefined
  /** The slab that neither of the two groups uses. */
  #spare: Slab | undefined
  /** The commits under way; resolves when nothing is left to write. */
  #running: Promise<void> | undefined
  #sealing: Promise<void> = Promise.resolve()
  /** A damaged segment that gets no further group. */
  #left = -1
  /** A group that failed, and of which something may still be on the disk. */
  #uncut: Group | undefined
  readonly #epoch: WriterEpoch
  #fence: MillraceError | undefined
  #closing: Promise<void> | undefined

  /** Adds to `recovered.index` what has become durable. */
  constructor(options: WriterOptions, recovered: RecoveredLog) {
    this.#options = options
    this.#index = recovered.index
    this.#memory = recovered.memory
    this.#segments = recovered.segments
    this.#once = new AppendOnce(options, recovered.memory)
    this.#pace = new GroupPace(options.groupMs)
    this.#open = recovered.open
    this.#epoch = recovered.epoch
    this.#durable = tailOf(recovered.open)
  }

  append(entry: BatchEntry): Promise<Appended> {
    const closed = this.#closed()
    if (closed !== undefined) return Promise.reject(closed)
    return this.#once.append(entry, this.#store)
  }

  #closed(): Error | undefined {
    return (
      this.#fence ?? (this.#closing === undefined ? undefined : new LogBusy('the log is closed'))
    )
  }

  readonly #store = (entry: BatchEntry, key: BatchKey): Promise<Appended> => {
    const closed = this.#closed()
    if (closed !== undefined) return Promise.reject(closed)
    const { reserve } = this.#options
    if (reserve.isShort()) return Promise.reject(reserve.error())
    const waitingBytes = this.waitingBytes()
    if (
      waitingBytes > 0 &&
      waitingBytes + (entry.packed ?? entry.events).length > this.#options.queueBytesMax
    ) {
      return Promise.reject(new LogBusy(`${waitingBytes} bytes wait for the disk`))
    }
    try {
      const { group, record } = this.#encode(entry, key)
      this.#running ??= this.#run()
      return new Promise<Appended>((resolve, reject) => {
        group.waiters.push({ record, resolve, reject })
        this.#pace.came(group.waiters.length)
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Adds the record to the gathering group; throws RangeError for what cannot be a record. */
  #encode(entry: BatchEntry, key: BatchKey): { group: Group; record: KeyedRecord } {
    this.#gathering ??= this.#newGroup()
    const group = this.#gathering
    const { segment, base, endByte: startByte, nextOffset: offset, k: seed } = group.end
    const k = appendRecord(group.slab, entry, offset, seed)
    const endByte = group.startByte + group.slab.length
    group.end = { segment, base, endByte, k, nextOffset: offset + 1 }
    const record = {
      offset,
      tenantNo: entry.tenantNo,
      segment,
      startByte,
      endByte,
      receivedMs: entry.receivedMs,
      acceptedCount: entry.eventCount,
      rejectedCount: entry.rejections.length,
      key,
    }
    return { group, record }
  }

  /** An empty group behind the one that is being written, or behind what is durable. */
  #newGroup(): Group {
    const slab = this.#spare ?? new Slab(SLAB_BYTES)
    this.#spare = undefined
    slab.length = 0
    const tail = this.#writing?.end ?? this.#durable
    // A segment without a record is never left, however small the bound.
    const isFull = tail.endByte >= this.#options.segmentBytesMax || tail.segment === this.#left
    if (!isFull || tail.nextOffset === tail.base) {
      return { slab, waiters: [], startByte: tail.endByte, roll: undefined, end: tail }
    }
    const { nextOffset } = tail
    const createdMs = this.#options.clock.now()
    const roll = {
      logId: this.#open.header.logId,
      segment: tail.segment + 1,
      base: nextOffset,
      createdMs,
    }
    const { bytes, k } = encodeHeader(roll)
    const end = { segment: roll.segment, base: nextOffset, endByte: bytes.length, k, nextOffset }
    return { slab, waiters: [], startByte: bytes.length, roll, end }
  }

  /** Commits group after group until nothing has gathered. */
  async #run(): Promise<void> {
    // What the event loop's turn brings goes together.
    await new Promise(setImmediate)
    for (let group = this.#take(); group !== undefined; group = this.#take()) {
      this.#pace.begins(group.waiters.length, performance.now())
      try {
        await this.#commit(group)
        this.#publish(group)
      } catch (error) {
        await this.#fail(group, error)
      }
      this.#writing = undefined
      if (group.slab.buffer.length <= SLAB_BYTES_KEPT) this.#spare = group.slab
      const waitMs = this.#pace.waitMs(this.#gathering?.waiters.length ?? 0, performance.now())
      if (waitMs > 0) await this.#pace.gather(waitMs)
    }
    // In the same turn as the last look: an append after this line starts a new run.
    this.#running = undefined
  }

  #take(): Group | undefined {
    const group = this.#gathering
    if (group === undefined || group.waiters.length === 0) return undefined
    this.#gathering = undefined
    this.#writing = group
    return group
  }

  async #commit(group: Group): Promise<void> {
    await this.#cutBack()
    if (group.roll !== undefined) await this.#roll(group.roll)
    const { slab, startByte } = group
    await this.#open.file.write(slab.buffer.subarray(0, slab.length), startByte)
    await this.#open.file.sync().catch((error) => {
      // Whatever its errno: after a failed sync nobody knows what is on the disk.
      throw new Error(`sync failed: ${errnoOf(error) ?? error}`, { cause: error })
    })
  }

  /**
   * Begins the next segment; the one before is complete, since one group is under way at a time.
   */
  async #roll(header: SegmentHeader): Promise<void> {
    await this.#epoch.expectOwn()
    const sealed = this.#open
    const segmentBytes = this.#durable.endByte
    this.#open = await createSegment(this.#options, header)
    this.#durable = tailOf(this.#open)
    this.#sealing = this.#sealing.then(() => this.#seal(sealed, segmentBytes))
  }

  /** The sidecar is only a copy: without it the next start reads the segment through. */
  async #seal(sealed: OpenSegment, segmentBytes: number): Promise<void> {
    const { folder, files, onFault } = this.#options
    try {
      await sealed.file.close()
      const path = join(folder, sidecarName(sealed.header.segment))
      await replaceFile(files, path, sealed.rows.encode(sealed.header, segmentBytes))
    } catch (error) {
      onFault?.(error)
    }
  }

  /** The group is on stable storage: readers see it, then its waiters hear of it. */
  #publish(group: Group): void {
    const { rows } = this.#open
    for (const { record } of group.waiters) {
      this.#index.add(record)
      this.#memory.add(record.key, record, record.segment)
      this.#segments.add(record)
      rows.add(record)
    }
    this.#durable = group.end
    for (const { record, resolve } of group.waiters) {
      const { offset, acceptedCount, rejectedCount } = record
      resolve({ offset, duplicate: false, acceptedCount, rejectedCount, conflict: false })
    }
  }

  /**
   * Nothing of the group is kept. What gathered behind it carries offsets and checks that follow
   * from it, so it shares its fate; what comes from now on continues from what is durable.
   */
  async #fail(group: Group, cause: unknown): Promise<void> {
    const passing = passingError(group, cause)
    this.#uncut ??= group
    this.#writing = undefined
    const error = passing ?? this.#fenceFor(cause)
    this.#rejectAll(group, error)
    this.#rejectAll(this.#gathering, error)
    this.#gathering = undefined
    if (passing === undefined) return
    await this.#cutBack().catch((failed) => {
      // If this passes as well, the next group begins with it.
      const later = passingError(group, failed) ?? this.#fenceFor(failed)
      this.#rejectAll(this.#gathering, later)
      this.#gathering = undefined
    })
  }

  #rejectAll(group: Group | undefined, error: Error): void {
    for (const { reject } of group?.waiters ?? []) reject(error)
  }

  /** Takes away what was left of a failed group: half a write, or half a new segment. */
  async #cutBack(): Promise<void> {
    const group = this.#uncut
    if (group === undefined) return
    const { folder, files } = this.#options
    if (group.roll === undefined || this.#open.header.segment === group.roll.segment) {
      await this.#open.file.truncate(this.#durable.endByte)
    } else {
      // Another process that took over may have made one of this name.
      await this.#epoch.expectOwn()
      const path = join(folder, segmentName(group.roll.segment))
      if (await files.exists(path)) await files.remove(path)
      // Else it could come back after a power loss, in the midst of the offsets given since.
      await files.syncFolder(folder)
    }
    this.#uncut = undefined
  }

  #fenceFor(cause: unknown): MillraceError {
    if (this.#fence !== undefined) return this.#fence
    const isOurs = cause instanceof MillraceError
    const reason = isOurs ? cause.message : (errnoOf(cause) ?? (cause as Error).message)
    const hint = isOurs ? { hint: cause.hint } : {}
    const message = `the log stopped: ${reason}`
    this.#fence = new MillraceError('disk_failed', message, { cause, ...hint })
    this.#options.onFence?.(this.#fence)
    return this.#fence
  }

  /** No group is begun in this segment any more: it is damaged. */
  leave(segment: number): void {
    this.#left = segment
  }

  /** Where the open segment's durable bytes end; undefined for a sealed one. */
  durableBytes(segment: number): number | undefined {
    return segment === this.#durable.segment ? this.#durable.endByte : undefined
  }

  close(): Promise<void> {
    this.#closing ??= this.#drain()
    return this.#closing
  }

  async #drain(): Promise<void> {
    await this.#once.settled()
    await this.#running
    await this.#sealing
    this.#options.reserve.close()
    await this.#open.file.close()
  }

  /** Why nothing is appended now; undefined while all is well. */
  fault(): MillraceError | undefined {
    const { reserve } = this.#options
    return this.#fence ?? (reserve.isShort() ? reserve.error() : undefined)
  }

  waitingBytes(): number {
    return (this.#writing?.slab.length ?? 0) + (this.#gathering?.slab.length ?? 0)
  }

  /** One past the last durable record. */
  end(): number {
    return this.#durable.nextOffset
  }
}

function tailOf({ header, endByte, k, nextOffset }: OpenSegment): Tail {
  return { segment: header.segment, base: header.base, endByte, k, nextOffset }
}

/** What an error that passes by itself costs its waiters; undefined for one that fences the log. */
function passingError(group: Group, cause: unknown): Error | undefined {
  const bytes = group.slab.length
  if (isFull(cause)) {
    return new MillraceError('disk_full', `no space for ${bytes} bytes`, { cause })
  }
  const errno = errnoOf(cause)
  const isOutOfHandles = errno === 'EMFILE' || errno === 'ENFILE'
  return isOutOfHandles ? new LogBusy(`no file handle for ${bytes} bytes: ${errno}`) : undefined
}

export function isFull(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOSPC' || errno === 'EDQUOT'
}
