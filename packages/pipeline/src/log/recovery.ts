/**
 * Opens a folder of segments: what every process does first, after a clean stop and after a crash.
 *
 * Sealed segments are known from their sidecars, or read through when one is missing; the last
 * segment is always read through. Its torn tail, which was never acknowledged, is cut off and the
 * cut synced. Everything else that does not check out stops the start with `data_damaged` and
 * changes nothing: records are never deleted, never renumbered, and an offset is never assumed.
 */
import { join } from 'node:path'
import type { Clock, Random } from '../kit/clock.ts'
import { randomHex } from '../kit/clock.ts'
import { MillraceError } from '../kit/errors.ts'
import { type FileSystem, type OpenFile, readFile, replaceFile } from '../kit/files.ts'
import { BatchMemory } from './batch-memory.ts'
import {
  encodeHeader,
  HEADER_BYTES_MAX,
  type HeaderReading,
  LOG_VERSION,
  readHeader,
  type SegmentHeader,
  scanSegment,
  segmentName,
  segmentOfName,
} from './segment.ts'
import { readSidecar, SidecarRows, sidecarName } from './sidecar.ts'
import { type KeyedRecord, TenantIndex } from './tenant-index.ts'

/** The segment that is appended to, at its durable end. */
export interface OpenSegment {
  readonly header: SegmentHeader
  readonly file: OpenFile
  readonly rows: SidecarRows
  readonly endByte: number
  readonly k: number
  readonly nextOffset: number
}

export interface RecoveryReport {
  readonly segmentCount: number
  /** Bytes of a torn tail that were cut off. */
  readonly tornBytes: number
  /** Sealed segments that were read through because their sidecar was missing or wrong. */
  readonly rebuiltSidecars: number
}

export interface RecoveredLog {
  readonly index: TenantIndex
  readonly memory: BatchMemory
  readonly open: OpenSegment
  readonly report: RecoveryReport
}

interface Folder {
  readonly folder: string
  readonly files: FileSystem
  /** Told of a sidecar that could not be written again: the log is whole without it. */
  readonly onFault?: ((error: unknown) => void) | undefined
}

type FoundSegment = HeaderReading & { kind: 'header' }

export async function recoverLog(
  at: Folder & { readonly clock: Clock; readonly random: Random },
): Promise<RecoveredLog> {
  await at.files.makeFolder(at.folder)
  const segments = await listSegments(at)
  let tornBytes = await dropTornSegment(at, segments)
  const last = segments.at(-1)
  if (last === undefined) return newLog(at, tornBytes)

  const found = await readHeaders(at, segments)
  const { logId } = found[0]!.header
  const index = new TenantIndex()
  const memory = new BatchMemory(logId)
  const keep = (record: KeyedRecord) => {
    index.add(record)
    memory.add(record.key, record.acceptedCount, record.rejectedCount)
  }
  let rebuiltSidecars = 0
  let nextOffset = found[0]!.header.base
  for (const segment of found.slice(0, -1)) {
    expectBase(segment.header, nextOffset)
    const sealed = await readSealed(at, segment, memory, keep)
    nextOffset = sealed.nextOffset
    if (sealed.rebuilt) rebuiltSidecars++
  }
  expectBase(found.at(-1)!.header, nextOffset)
  const { open, cutBytes } = await openLast(at, found.at(-1)!, memory, keep)
  tornBytes += cutBytes
  return {
    index,
    memory,
    open,
    report: { segmentCount: segments.length, tornBytes, rebuiltSidecars },
  }
}

/** Numbers of the segments, ascending, without a gap. */
async function listSegments({ folder, files }: Folder): Promise<number[]> {
  const segments: number[] = []
  for (const name of await files.list(folder)) {
    const segment = segmentOfName(name)
    if (segment === undefined) continue
    const before = segments.at(-1)
    if (before !== undefined && segment !== before + 1) {
      throw damaged(segment, 0, `segment ${before + 1} is missing before it`)
    }
    segments.push(segment)
  }
  return segments
}

/**
 * Removes a last segment whose header never became whole. The header is on stable storage before
 * the first record is written, so such a file is short and holds nothing; a longer one is damage.
 */
async function dropTornSegment(at: Folder, segments: number[]): Promise<number> {
  const last = segments.at(-1)
  if (last === undefined) return 0
  const path = join(at.folder, segmentName(last))
  const bytes = asBuffer(await readStart(at.files, path))
  if (readHeader(bytes).kind !== 'bad' || bytes.length > HEADER_BYTES_MAX) return 0
  // Of the first segment nothing can have been promised; of a later one, the one before must be
  // there.
  if (last !== 0 && segments.length === 1) throw damaged(last, 0, 'its header is not whole')
  await at.files.remove(path)
  await at.files.syncFolder(at.folder)
  segments.pop()
  return bytes.length
}

/** Reads one byte more than a header can have. */
async function readStart(files: FileSystem, path: string): Promise<Uint8Array> {
  const file = await files.open(path, 'read')
  try {
    return await file.read(0, HEADER_BYTES_MAX + 1)
  } finally {
    await file.close()
  }
}

async function readHeaders(at: Folder, segments: readonly number[]): Promise<FoundSegment[]> {
  const found: FoundSegment[] = []
  for (const segment of segments) {
    const reading = readHeader(
      asBuffer(await readStart(at.files, join(at.folder, segmentName(segment)))),
    )
    if (reading.kind === 'newer') {
      const message = `the log has format ${reading.version}, this version reads ${LOG_VERSION}`
      throw new MillraceError('data_newer', message)
    }
    if (reading.kind === 'bad') throw damaged(segment, 0, 'its header does not check out')
    const { header } = reading
    if (header.segment !== segment) throw damaged(segment, 0, `it says it is ${header.segment}`)
    const logId = found[0]?.header.logId ?? header.logId
    if (header.logId !== logId) throw damaged(segment, 0, `it is of log ${header.logId}`)
    found.push(reading)
  }
  return found
}

function expectBase(header: SegmentHeader, nextOffset: number): void {
  if (header.base === nextOffset) return
  throw damaged(header.segment, 0, `it starts at offset ${header.base}, not at ${nextOffset}`)
}

async function newLog(
  at: Folder & { readonly clock: Clock; readonly random: Random },
  tornBytes: number,
): Promise<RecoveredLog> {
  const logId = randomHex(at.random, 16)
  const header = { logId, segment: 0, base: 0, createdMs: at.clock.now() }
  return {
    index: new TenantIndex(),
    memory: new BatchMemory(logId),
    open: await createSegment(at, header),
    report: { segmentCount: 1, tornBytes, rebuiltSidecars: 0 },
  }
}

/** A new segment, its header and its name on stable storage: only now may records follow. */
export async function createSegment(at: Folder, header: SegmentHeader): Promise<OpenSegment> {
  const { bytes, k } = encodeHeader(header)
  const file = await at.files.open(join(at.folder, segmentName(header.segment)), 'create')
  try {
    await file.write(bytes, 0)
    await file.sync()
    await at.files.syncFolder(at.folder)
  } catch (error) {
    await file.close()
    throw error
  }
  const rows = new SidecarRows()
  return { header, file, rows, endByte: bytes.length, k, nextOffset: header.base }
}

/** Knows a sealed segment by its sidecar, else reads it through and writes the sidecar again. */
async function readSealed(
  at: Folder,
  found: FoundSegment,
  memory: BatchMemory,
  keep: (record: KeyedRecord) => void,
): Promise<{ nextOffset: number; rebuilt: boolean }> {
  const { header } = found
  const segmentPath = join(at.folder, segmentName(header.segment))
  const sidecar = await readSidecarOf(at, found, segmentPath)
  if (sidecar !== undefined) {
    for (const record of sidecar) keep(record)
    const offset = header.base + sidecar.length
    return { nextOffset: offset, rebuilt: false }
  }
  const bytes = asBuffer(await readFile(at.files, segmentPath))
  const rows = new SidecarRows()
  const scan = scanSegment(bytes, found, keeper(header.segment, memory, rows, keep))
  if (scan.endByte < bytes.length) {
    throw damaged(header.segment, scan.endByte, 'the record there does not check out')
  }
  const path = join(at.folder, sidecarName(header.segment))
  await replaceFile(at.files, path, rows.encode(header, bytes.length)).catch((error) =>
    at.onFault?.(error),
  )
  return { nextOffset: scan.nextOffset, rebuilt: true }
}

async function readSidecarOf(at: Folder, found: FoundSegment, segmentPath: string) {
  const path = join(at.folder, sidecarName(found.header.segment))
  if (!(await at.files.exists(path))) return undefined
  const segment = await at.files.open(segmentPath, 'read')
  const segmentBytes = await segment.size().finally(() => segment.close())
  const bytes = asBuffer(await readFile(at.files, path))
  return readSidecar(bytes, found.header, found.endByte, segmentBytes)
}

/** Reads the last segment through, cuts its torn tail, and opens it for more. */
async function openLast(
  at: Folder,
  found: FoundSegment,
  memory: BatchMemory,
  keep: (record: KeyedRecord) => void,
): Promise<{ open: OpenSegment; cutBytes: number }> {
  const { header } = found
  const path = join(at.folder, segmentName(header.segment))
  const bytes = asBuffer(await readFile(at.files, path))
  const rows = new SidecarRows()
  const scan = scanSegment(bytes, found, keeper(header.segment, memory, rows, keep))
  if (scan.damagedBefore !== undefined) {
    const why = `a record that checks out follows at byte ${scan.damagedBefore}`
    throw damaged(header.segment, scan.endByte, why)
  }
  const file = await at.files.open(path, 'write')
  const cutBytes = bytes.length - scan.endByte
  try {
    if (cutBytes > 0) await file.truncate(scan.endByte)
    // Also without a cut: a process that died between write and sync leaves whole records that only
    // the page cache holds, and from here on they count as durable.
    await file.sync()
    await at.files.syncFolder(at.folder)
  } catch (error) {
    await file.close()
    throw error
  }
  const { endByte, k, nextOffset } = scan
  return { open: { header, file, rows, endByte, k, nextOffset }, cutBytes }
}

function keeper(
  segment: number,
  memory: BatchMemory,
  rows: SidecarRows,
  keep: (record: KeyedRecord) => void,
): Parameters<typeof scanSegment>[2] {
  return (record) => {
    const key = memory.key(record.tenantNo, record.sourceNo, record.batchId)
    const keyed = { ...record, segment, key }
    rows.add(keyed)
    keep(keyed)
  }
}

function damaged(segment: number, byte: number, why: string): MillraceError {
  return new MillraceError('data_damaged', `${segmentName(segment)} at byte ${byte}: ${why}`)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
