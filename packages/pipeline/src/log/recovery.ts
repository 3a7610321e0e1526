/**
 * Opens a folder of segments: what every process does first, after a clean stop and after a crash.
 *
 * Sealed segments are known from their sidecars, or read through when one is missing, wrong, or has
 * a note in the quarantine; the last is always read through. Its torn tail, never acknowledged, is
 * cut off. All else that does not check out is damage: reported and kept, and what is good around
 * it is served. A damaged last segment is closed for good; a new one begins behind it. Records are
 * never deleted, never renumbered, and an offset is never given twice.
 *
 * The start stops only for a log of another identity, a later format, a folder that cannot be read
 * or written, or when nothing in it says which log it is or where its offsets stand.
 */
import { join } from 'node:path'
import { type Clock, type Random, randomHex } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, replaceFile } from '../kit/files.ts'
import { BatchMemory } from './batch-memory.ts'
import { type DamageReport, type ReadSegment, readSegment, tenantsOf } from './damage.ts'
import { readEpoch, takeEpoch, type WriterEpoch } from './epoch.ts'
import { createSegment, type OpenSegment, openSynced } from './open-segment.ts'
import { quarantine, quarantinedSegments } from './quarantine.ts'
import { readHead } from './record.ts'
import { RecoveredRecords } from './recovered-records.ts'
import { finishDropping, type Retired } from './retired.ts'
import {
  type DamagedRange,
  type ScannedRecord,
  type SegmentScan,
  scanSegment,
  segmentName,
} from './segment.ts'
import type { RetainedSegments } from './segment-facts.ts'
import {
  type FoundSegment,
  type LoneSidecar,
  listSegments,
  type SegmentList,
} from './segment-list.ts'
import { SidecarRows, sidecarName } from './sidecar.ts'
import type { KeyedRecord, TenantIndex } from './tenant-index.ts'

/** Segments are read whole at start and addressed with 32 bits in sidecars. */
export const SEGMENT_BYTES_LIMIT = 1_024 * 1_048_576
/** No record is shorter: so many bytes that cannot be read held at most so many of them. */
const RECORD_BYTES_MIN = 100

export interface RecoveryReport {
  readonly segmentCount: number
  /** Bytes of a torn tail that were cut off. */
  readonly tornBytes: number
  /** Sealed segments that were read through because their sidecar was missing or wrong. */
  readonly rebuiltSidecars: number
  readonly damaged: readonly DamageReport[]
}

export interface RecoveredLog {
  readonly index: TenantIndex
  readonly memory: BatchMemory
  readonly segments: RetainedSegments
  readonly retired: Retired | undefined
  readonly open: OpenSegment
  readonly epoch: WriterEpoch
  readonly report: RecoveryReport
}

export interface RecoveryPlace {
  readonly folder: string
  readonly files: FileSystem
  readonly clock: Clock
  readonly random: Random
  /** Told of a sidecar that could not be written again: the log is whole without it. */
  readonly onFault?: ((error: unknown) => void) | undefined
  /** By tenant, up to which offset the lake has this log: of these, no row is kept in memory. */
  readonly delivered?: ((logId: string) => Promise<ReadonlyMap<number, number>>) | undefined
  /** How many of the newest batches are known without a look into a sidecar. */
  readonly exactBatches?: number | undefined
}

export async function recoverLog(at: RecoveryPlace): Promise<RecoveredLog> {
  await at.files.makeFolder(at.folder)
  const list = await listSegments(at)
  const last = await readEpoch(at)
  const logId = identityOf(list, last?.logId, at.random)
  // Nothing was changed so far; whoever opened the folder before must not write any more.
  const epoch = await takeEpoch(at, logId, last)
  if (list.torn !== undefined) {
    await at.files.remove(list.torn.path)
    await at.files.syncFolder(at.folder)
  }
  const retired = await finishDropping(at, logId, list.found)
  const found = list.found.filter(({ segment }) => segment >= (retired?.firstSegment ?? 0))
  const memory = new BatchMemory(logId, at.exactBatches)
  const delivered = found.length > 1 ? await at.delivered?.(logId) : undefined
  const records = new RecoveredRecords(memory, retired, delivered, found.at(-1)?.base ?? 0)
  const recovery = new Recovery(at, logId, await quarantinedSegments(at), records)
  const { open, cutBytes } = await recovery.run(found)
  const { index, segments } = records
  const { damaged, rebuiltSidecars } = recovery
  const segmentCount = Math.max(1, found.length)
  const tornBytes = cutBytes + (list.torn?.bytes ?? 0)
  const report = { segmentCount, tornBytes, rebuiltSidecars, damaged }
  return { index, memory, segments, retired, open, epoch, report }
}

/** A folder without segments begins a new log: whatever was read of the old one is not its offsets. */
function identityOf(list: SegmentList, known: string | undefined, random: Random): string {
  if (list.found.length === 0) return randomHex(random, 16)
  const logId = list.logId ?? known
  if (logId !== undefined) return logId
  const place = segmentName(list.found[0]!.segment)
  throw new MillraceError('data_damaged', `${place}: nothing in the folder tells which log it is`)
}

/** A segment that was read through, its good records kept. */
interface Through extends ReadSegment {
  readonly scan: SegmentScan
  readonly rows: SidecarRows
  readonly sidecar: LoneSidecar | undefined
  /** Known from the sidecar, and not good. */
  readonly lost: readonly KeyedRecord[]
}

class Recovery {
  readonly #records: RecoveredRecords
  readonly damaged: DamageReport[] = []
  rebuiltSidecars = 0
  readonly #at: RecoveryPlace
  readonly #logId: string
  readonly #suspects: ReadonlySet<number>
  /** One past everything that was seen so far, good or known to be lost. */
  #nextOffset = 0
  /** The first segment, when nothing tells its base: what was before it may have been dropped. */
  #startUnknown: number | undefined

  constructor(
    at: RecoveryPlace,
    logId: string,
    suspects: ReadonlySet<number>,
    records: RecoveredRecords,
  ) {
    this.#at = at
    this.#logId = logId
    this.#suspects = suspects
    this.#records = records
  }

  async run(found: readonly FoundSegment[]): Promise<{ open: OpenSegment; cutBytes: number }> {
    const [first] = found
    this.#nextOffset = first?.base ?? 0
    if (first?.base === undefined && first?.segment !== 0) this.#startUnknown = first?.segment
    for (const [place, segment] of found.entries()) {
      const later = found.slice(place + 1)
      await this.#expectNoneMissing(found[place - 1], segment)
      const offsetEnd =
        later.find(({ base }) => base !== undefined)?.base ?? Number.POSITIVE_INFINITY
      const next = later[0]
      if (next === undefined) return this.#openLast(segment)
      // What the next one begins with is one past the last of this.
      const isExact = next.base !== undefined && next.segment === segment.segment + 1
      await this.#sealed(segment, offsetEnd, isExact)
    }
    return { open: await this.#create(0, 0), cutBytes: 0 }
  }

  #create(segment: number, base: number): Promise<OpenSegment> {
    const createdMs = this.#at.clock.now()
    return createSegment(this.#at, { logId: this.#logId, segment, base, createdMs })
  }

  async #expectNoneMissing(before: FoundSegment | undefined, found: FoundSegment): Promise<void> {
    const base = found.base ?? this.#nextOffset
    if (before === undefined || found.segment === before.segment + 1) return
    await this.#missing(before.segment + 1, base)
  }

  /** Files are gone that held the offsets up to `endOffset`, or some of them. */
  async #missing(segment: number, endOffset: number): Promise<void> {
    const firstOffset = Math.min(this.#nextOffset, endOffset)
    const range = { startByte: 0, endByte: 0, firstOffset, endOffset }
    this.#nextOffset = Math.max(this.#nextOffset, endOffset)
    await this.#report(segment, [range], [], false)
  }

  /** Knows a sealed segment by its sidecar, else reads it through. */
  async #sealed(found: FoundSegment, offsetEnd: number, isExact: boolean): Promise<void> {
    if (await this.#isKnown(found, offsetEnd, isExact)) return
    const through = await this.#readThrough(found, offsetEnd)
    const { bytes, scan, rows, sidecar, lost } = through
    const sidecarEnd = sidecar === undefined ? 0 : sidecar.header.base + sidecar.records.length
    const endOffset = isExact ? offsetEnd : Math.max(scan.nextOffset, sidecarEnd)
    const damaged = withEnd(through, endOffset)
    this.#nextOffset = Math.max(this.#nextOffset, endOffset)
    if (damaged.length > 0) {
      await this.#report(found.segment, damaged, lost, through.isUnreadable)
    } else if (found.header !== undefined && sidecar === undefined) {
      this.rebuiltSidecars++
      const path = join(this.#at.folder, sidecarName(found.segment))
      const text = rows.encode(found.header.header, bytes.length)
      await replaceFile(this.#at.files, path, text).catch((error) => this.#at.onFault?.(error))
    }
  }

  /** Takes the records from the sidecar, if everything around it agrees. */
  async #isKnown(found: FoundSegment, offsetEnd: number, isExact: boolean): Promise<boolean> {
    const { header } = found
    if (header === undefined || this.#suspects.has(found.segment)) return false
    const sidecar = await found.sidecar()
    if (sidecar === undefined) return false
    const { base, logId } = sidecar.header
    const endOffset = base + sidecar.records.length
    const isRight =
      logId === this.#logId &&
      base === header.header.base &&
      base === this.#nextOffset &&
      (sidecar.records[0]?.startByte ?? sidecar.segmentBytes) === header.endByte &&
      (isExact ? endOffset === offsetEnd : endOffset <= offsetEnd)
    if (!isRight || (await this.#sizeOf(found.segment)) !== sidecar.segmentBytes) return false
    for (const record of sidecar.records) this.#records.keep(record)
    this.#nextOffset = endOffset
    return true
  }

  async #sizeOf(segment: number): Promise<number> {
    const file = await this.#at.files.open(join(this.#at.folder, segmentName(segment)), 'read')
    return file.size().finally(() => file.close())
  }

  async #readThrough(found: FoundSegment, offsetEnd: number): Promise<Through> {
    const { header, segment } = found
    const path = join(this.#at.folder, segmentName(segment))
    const read = (await readSegment(this.#at.files, path)) ?? NOTHING
    const sidecar = await this.#rightSidecar(found, offsetEnd)
    const nextOffset = Math.max(this.#nextOffset, found.base ?? 0)
    const start =
      header === undefined
        ? { startByte: 0, k: 0, nextOffset }
        : { startByte: header.endByte, k: header.k, nextOffset }
    const rows = new SidecarRows()
    const good = new Map<number, ScannedRecord>()
    const scan = scanSegment(read.bytes, start, offsetEnd, (record) => {
      if (sidecar === undefined) this.#keepScanned(read.bytes, record, segment, rows)
      else good.set(record.offset, record)
    })
    const lost = sidecar === undefined ? [] : this.#keepKnown(sidecar.records, good)
    for (const record of good.values()) this.#keepScanned(read.bytes, record, segment, rows)
    return { ...read, scan, rows, sidecar, lost }
  }

  async #rightSidecar(found: FoundSegment, offsetEnd: number): Promise<LoneSidecar | undefined> {
    const sidecar = await found.sidecar()
    if (sidecar === undefined || sidecar.header.logId !== this.#logId) return undefined
    const { base } = sidecar.header
    const isHere = base === (found.base ?? base) && base >= this.#nextOffset
    return isHere && base + sidecar.records.length <= offsetEnd ? sidecar : undefined
  }

  /**
   * Records that the sidecar knows, each where the scan has found it. Those that it has not are
   * counted and never served. Takes what it keeps out of `good`.
   */
  #keepKnown(records: readonly KeyedRecord[], good: Map<number, ScannedRecord>): KeyedRecord[] {
    const lost: KeyedRecord[] = []
    for (const record of records) {
      const found = good.get(record.offset)
      this.#records.keep({ ...record, ...found })
      if (found === undefined) {
        this.#records.index.markDamaged(record.tenantNo, record.offset)
        lost.push(record)
      } else if (found.seed !== undefined) {
        this.#records.index.setSeed(record.tenantNo, record.offset, found.seed)
      }
      good.delete(record.offset)
    }
    return lost
  }

  #keepScanned(bytes: Buffer, record: ScannedRecord, segment: number, rows: SidecarRows): void {
    const head = readHead(bytes, record.startByte, record.endByte)
    const key = this.#records.memory.key(head.tenantNo, head.sourceNo, head.batchId)
    const row = { ...head, ...record, segment, key }
    rows.add(row)
    this.#records.keep(row)
    if (record.seed !== undefined) {
      this.#records.index.setSeed(head.tenantNo, record.offset, record.seed)
    }
  }

  /** Reads the last segment through, and opens it for more, or a new one behind it. */
  async #openLast(found: FoundSegment): Promise<{ open: OpenSegment; cutBytes: number }> {
    const through = await this.#readThrough(found, Number.POSITIVE_INFINITY)
    const { bytes, scan, sidecar, isUnreadable, lost } = through
    const { header, segment } = found
    if (this.#startUnknown === segment && scan.nextOffset === 0) {
      const message = `${segmentName(segment)}: nothing in it tells where the offsets stand`
      throw new MillraceError('data_damaged', message)
    }
    if (
      header !== undefined &&
      scan.damaged.length === 0 &&
      !isUnreadable &&
      sidecar === undefined
    ) {
      const { rows } = through
      const file = await openSynced(this.#at, segment, bytes, scan.endByte)
      const { endByte, k, nextOffset } = scan
      const open = { header: header.header, file, rows, endByte, k, nextOffset }
      return { open, cutBytes: bytes.length - endByte }
    }
    // Whole records may be in the page cache only, and from here on they count as durable.
    if (bytes.length > 0) await (await openSynced(this.#at, segment)).close()
    // A sidecar is written after the next segment was made: then that one is gone.
    const isNextGone = sidecar !== undefined
    const tailBytes = isNextGone ? 0 : bytes.length - scan.endByte
    const seen = Math.max(
      scan.nextOffset,
      (sidecar?.header.base ?? 0) + (sidecar?.records.length ?? 0),
    )
    const endOffset = seen + Math.ceil(tailBytes / RECORD_BYTES_MIN)
    const damaged = withEnd(through, endOffset)
    this.#nextOffset = endOffset
    if (damaged.length > 0) await this.#report(segment, damaged, lost, isUnreadable)
    if (!isNextGone) return { open: await this.#create(segment + 1, endOffset), cutBytes: 0 }
    await this.#missing(segment + 1, endOffset + Math.ceil(SEGMENT_BYTES_LIMIT / RECORD_BYTES_MIN))
    return { open: await this.#create(segment + 2, this.#nextOffset), cutBytes: 0 }
  }

  async #report(
    segment: number,
    ranges: readonly DamagedRange[],
    lost: readonly KeyedRecord[],
    isUnreadable: boolean,
  ): Promise<void> {
    const damaged = ranges.map((range) => {
      const isStart = segment === this.#startUnknown && range.startByte === 0
      return isStart ? { ...range, firstOffset: range.endOffset } : range
    })
    const missing = damaged.reduce((sum, range) => sum + range.endOffset - range.firstOffset, 0)
    const recordCount = Math.max(missing, lost.length)
    const tenants = tenantsOf(lost)
    const found = { segment, damaged, recordCount, tenants, isUnreadable }
    this.damaged.push(await quarantine(this.#at, found))
  }
}

const NOTHING: ReadSegment = { bytes: Buffer.alloc(0), isUnreadable: false }

/** Damage inside, and what is left at the end although `endOffset` is where the segment ended. */
function withEnd({ scan, bytes }: Through, endOffset: number): DamagedRange[] {
  const isWhole = scan.endByte >= bytes.length && scan.nextOffset >= endOffset
  if (isWhole) return [...scan.damaged]
  const endByte = Math.max(scan.endByte, bytes.length)
  const range = { startByte: scan.endByte, endByte, firstOffset: scan.nextOffset }
  return [...scan.damaged, { ...range, endOffset: Math.max(endOffset, scan.nextOffset) }]
}
