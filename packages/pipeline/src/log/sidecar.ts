/**
 * What a sealed segment holds, in 40 bytes a record: so that neither a start nor the question whether
 * a batch is in it need read the segment.
 *
 * `<segment>.index` is a line of JSON and then rows (docs/formats/log.md). It is only a copy: tied
 * to the log's identity, the segment and its size by its header, checked as a whole, and made again
 * from the segment when it is missing or anything about it is wrong.
 */
import { crc32 } from '../kit/checksum.ts'
import type { BatchKey } from './batch-key.ts'
import type { BatchCounts } from './batch-memory.ts'
import { checkLine, writeCheck } from './record.ts'
import type { SegmentHeader } from './segment.ts'
import type { KeyedRecord } from './tenant-index.ts'

const SIDECAR_VERSION = 1
const ROW_BYTES = 40
const ROWS_MIN = 256

const SIDECAR_NAME = /^(\d{16})\.index$/

export function sidecarName(segment: number): string {
  return `${String(segment).padStart(16, '0')}.index`
}

/** The number in a sidecar's name, or undefined for other files. */
export function segmentOfSidecar(name: string): number | undefined {
  const match = SIDECAR_NAME.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** Gathers the rows of the open segment. */
export class SidecarRows {
  #rows = viewOf(Buffer.alloc(ROWS_MIN * ROW_BYTES))
  #length = 0

  add(record: KeyedRecord): void {
    if (this.#length === this.#rows.byteLength) this.#rows = doubled(this.#rows)
    const rows = this.#rows
    const at = this.#length
    rows.setUint32(at, record.tenantNo, true)
    rows.setUint32(at + 4, record.endByte - record.startByte, true)
    rows.setUint32(at + 8, record.acceptedCount, true)
    rows.setUint32(at + 12, record.rejectedCount, true)
    rows.setFloat64(at + 16, record.receivedMs, true)
    rows.setUint32(at + 24, record.key.a, true)
    rows.setUint32(at + 28, record.key.b, true)
    rows.setUint32(at + 32, record.key.c, true)
    rows.setUint32(at + 36, record.key.d, true)
    this.#length = at + ROW_BYTES
  }

  /** Of the records so far; not for changing. */
  view(): DataView {
    return new DataView(this.#rows.buffer, this.#rows.byteOffset, this.#length)
  }

  /** The sidecar's bytes; `segmentBytes` is the segment's size, its header included. */
  encode(header: SegmentHeader, segmentBytes: number): Buffer {
    const rows = Buffer.from(this.#rows.buffer, this.#rows.byteOffset, this.#length)
    const body = Buffer.from(
      `{"format":"millrace-log-index","version":${SIDECAR_VERSION},"logId":"${header.logId}"` +
        `,"segment":${header.segment},"base":${header.base},"bytes":${segmentBytes}` +
        `,"records":${rows.length / ROW_BYTES}`,
    )
    const bytes = Buffer.alloc(body.length + 17 + rows.length)
    body.copy(bytes)
    // The header's own check is seeded with the rows': one number covers every byte.
    const end = writeCheck(bytes, body.length, crc32(body, crc32(rows, 0)))
    rows.copy(bytes, end)
    return bytes
  }
}

/**
 * The records, or undefined when the sidecar is not exactly that of this segment at this size.
 * `headerEnd` is where the segment's first record starts.
 */
export function readSidecar(
  bytes: Buffer,
  header: SegmentHeader,
  headerEnd: number,
  segmentBytes: number,
): KeyedRecord[] | undefined {
  const rows = checkedRows(bytes, header, segmentBytes)
  if (rows === undefined) return undefined
  const records: KeyedRecord[] = []
  let startByte = headerEnd
  for (let at = 0; at < rows.byteLength; at += ROW_BYTES) {
    const record = readRow(rows, at, header, records.length, startByte)
    records.push(record)
    startByte = record.endByte
  }
  return startByte === segmentBytes ? records : undefined
}

/** The rows, unread, or undefined when this is not the sidecar of this segment at this size. */
export function checkedRows(
  bytes: Buffer,
  header: Pick<SegmentHeader, 'logId' | 'segment' | 'base'>,
  segmentBytes: number,
): DataView | undefined {
  const end = bytes.indexOf('\n', 0, 'latin1') + 1
  if (end === 0) return undefined
  const rows = bytes.subarray(end)
  if (rows.length % ROW_BYTES !== 0) return undefined
  if (checkLine(bytes, 0, end, crc32(rows, 0)) === undefined) return undefined
  const facts = JSON.parse(bytes.toString('latin1', 0, end))
  const same =
    facts.format === 'millrace-log-index' &&
    facts.version === SIDECAR_VERSION &&
    facts.logId === header.logId &&
    facts.segment === header.segment &&
    facts.base === header.base &&
    facts.bytes === segmentBytes
  return same ? viewOf(rows) : undefined
}

/** Counts of a batch among rows. They stand in the order of offsets, so all are looked at. */
export function findBatch(rows: DataView, key: BatchKey): BatchCounts | undefined {
  for (let at = 0; at < rows.byteLength; at += ROW_BYTES) {
    if (rows.getUint32(at + 24, true) !== key.a || rows.getUint32(at + 28, true) !== key.b) continue
    if (rows.getUint32(at + 32, true) !== key.c || rows.getUint32(at + 36, true) !== key.d) continue
    return {
      acceptedCount: rows.getUint32(at + 8, true),
      rejectedCount: rows.getUint32(at + 12, true),
    }
  }
  return undefined
}

/** What a sidecar says by itself: for a segment whose header is damaged, or that is missing. */
export function readLoneSidecar(
  bytes: Buffer,
): { header: SegmentHeader; segmentBytes: number; records: KeyedRecord[] } | undefined {
  const end = bytes.indexOf('\n', 0, 'latin1') + 1
  const rows = bytes.subarray(end)
  if (end === 0 || checkLine(bytes, 0, end, crc32(rows, 0)) === undefined) return undefined
  const { logId, segment, base, bytes: segmentBytes } = JSON.parse(bytes.toString('latin1', 0, end))
  let recordBytes = 0
  for (let at = 4; at < rows.length; at += ROW_BYTES) recordBytes += rows.readUInt32LE(at)
  const header = { logId, segment, base, createdMs: 0 }
  const records = readSidecar(bytes, header, segmentBytes - recordBytes, segmentBytes)
  return records && { header, segmentBytes, records }
}

function readRow(
  rows: DataView,
  at: number,
  header: SegmentHeader,
  place: number,
  startByte: number,
): KeyedRecord {
  return {
    offset: header.base + place,
    tenantNo: rows.getUint32(at, true),
    segment: header.segment,
    startByte,
    endByte: startByte + rows.getUint32(at + 4, true),
    receivedMs: rows.getFloat64(at + 16, true),
    acceptedCount: rows.getUint32(at + 8, true),
    rejectedCount: rows.getUint32(at + 12, true),
    key: {
      a: rows.getUint32(at + 24, true),
      b: rows.getUint32(at + 28, true),
      c: rows.getUint32(at + 32, true),
      d: rows.getUint32(at + 36, true),
    },
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function doubled(rows: DataView): DataView {
  const larger = Buffer.alloc(rows.byteLength * 2)
  larger.set(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength))
  return viewOf(larger)
}
