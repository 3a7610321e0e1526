/**
 * A segment: a header line, then records, each chained to the line before. Pure: bytes in, facts
 * out.
 *
 * A scan goes on behind a line that does not check out as long as a record that does is found: that
 * one was written later, so the bad line had been on the disk, and is damage. What has nothing
 * behind it is the end: zeros, garbage, half a line of a write that was never acknowledged.
 * recovery.ts and inspection.ts decide what to do; docs/formats/log.md is the format.
 */
import { crc32, readHex8 } from '../kit/checksum.ts'
import {
  checkLine,
  LINE_END_BYTES,
  lineEndCheck,
  RECORD_BYTES_MAX,
  readOffset,
  writeCheck,
} from './record.ts'

export const LOG_VERSION = 1
export const HEADER_BYTES_MAX = 512
/**
 * The header is synced before the first record is written, so a file with a torn one is not longer
 * than the longest header this version writes (numbers of sixteen digits), and holds nothing.
 */
export const TORN_HEADER_BYTES_MAX = 173

export interface SegmentHeader {
  /** 32 hex digits: the log's identity, the same in all its segments. */
  readonly logId: string
  readonly segment: number
  /** Offset of the first record. */
  readonly base: number
  readonly createdMs: number
}

const SEGMENT_NAME = /^(\d{16})\.ndjson$/

export function segmentName(segment: number): string {
  return `${String(segment).padStart(16, '0')}.ndjson`
}

/** The number in a segment's name, or undefined for other files. */
export function segmentOfName(name: string): number | undefined {
  const match = SEGMENT_NAME.exec(name)
  return match === null ? undefined : Number(match[1])
}

export function encodeHeader(header: SegmentHeader): { bytes: Buffer; k: number } {
  const body = Buffer.from(
    `{"format":"millrace-log","version":${LOG_VERSION},"logId":"${header.logId}"` +
      `,"segment":${header.segment},"base":${header.base},"created":${header.createdMs}`,
  )
  const k = crc32(body, 0)
  const bytes = Buffer.alloc(body.length + 17)
  body.copy(bytes)
  writeCheck(bytes, body.length, k)
  return { bytes, k }
}

export type HeaderReading =
  | { readonly kind: 'header'; header: SegmentHeader; endByte: number; k: number }
  | { readonly kind: 'newer'; version: number }
  | { readonly kind: 'bad' }

/**
 * A later version is told before the check: how that version checks itself is not ours to know. But
 * a line that checks out once our own version is put in is of our version, and its digit is damaged.
 */
export function readHeader(bytes: Buffer): HeaderReading {
  const start = bytes.toString('latin1', 0, HEADER_BYTES_MAX)
  const digits = /^\{"format":"millrace-log","version":(\d{1,9}),/.exec(start)?.[1]
  const version = Number(digits)
  if (version > LOG_VERSION) {
    const ours = Buffer.from(start.replace(`:${digits},`, `:${LOG_VERSION},`), 'latin1')
    return readHeader(ours).kind === 'header' ? { kind: 'bad' } : { kind: 'newer', version }
  }
  const endByte = start.indexOf('\n') + 1
  const k = endByte === 0 ? undefined : checkLine(bytes, 0, endByte, 0)
  if (k === undefined || version !== LOG_VERSION) return { kind: 'bad' }
  const { logId, segment, base, created } = JSON.parse(start.slice(0, endByte))
  return { kind: 'header', header: { logId, segment, base, createdMs: created }, endByte, k }
}

/** Where a scan begins: behind a header that checks out, else at byte 0 with `k` 0. */
export interface ScanStart {
  readonly startByte: number
  readonly k: number
  readonly nextOffset: number
}

export interface ScannedRecord {
  readonly offset: number
  readonly startByte: number
  /** Exclusive. */
  readonly endByte: number
  /** What its check is seeded with, where the eleven bytes before it do not say so. */
  readonly seed?: number
}

/** Bytes before a record that checks out which do not, and the offsets that are missing with them. */
export interface DamagedRange {
  readonly startByte: number
  /** Exclusive. */
  readonly endByte: number
  readonly firstOffset: number
  /** Exclusive; equal to `firstOffset` when no record is missing. */
  readonly endOffset: number
}

export interface SegmentScan {
  /** One past the last line that checks out. What follows is the end, or damage at the end. */
  readonly endByte: number
  /** `k` of that line. */
  readonly k: number
  readonly nextOffset: number
  readonly damaged: readonly DamagedRange[]
}

/**
 * Visits every record that checks out, in order. Offsets follow one another where the chain is
 * whole and go up where it is not; none reaches `offsetEnd`, where the next segment begins.
 */
export function scanSegment(
  bytes: Buffer,
  start: ScanStart,
  offsetEnd: number,
  visit: (record: ScannedRecord) => void,
): SegmentScan {
  let { startByte, k, nextOffset } = start
  const damaged: DamagedRange[] = []
  while (startByte < bytes.length) {
    const endByte = bytes.indexOf('\n', startByte, 'latin1') + 1
    const next = endByte === 0 ? undefined : checkLine(bytes, startByte, endByte, k)
    if (
      next !== undefined &&
      nextOffset < offsetEnd &&
      readOffset(bytes, startByte) === nextOffset
    ) {
      visit({ offset: nextOffset, startByte, endByte })
      startByte = endByte
      k = next
    } else {
      const found = findRecordAfter(bytes, { startByte, k, nextOffset }, offsetEnd)
      if (found === undefined) break
      const { record } = found
      const range = { startByte, endByte: record.startByte, firstOffset: nextOffset }
      damaged.push({ ...range, endOffset: record.offset })
      visit(record)
      startByte = record.endByte
      k = found.k
      nextOffset = record.offset
    }
    nextOffset++
  }
  return { endByte: startByte, k, nextOffset, damaged }
}

const RECORD_START = Buffer.from('{"o":', 'latin1')
/** `,"k":"xxxxxxxx"}\n`: what of a line its own sum does not cover. */
const UNSUMMED_BYTES = 17

/**
 * The first record behind a bad line that checks out. Its seed is the `k` that stands before it;
 * should that be what is damaged, then the sum of the bad line itself. Starts are looked for by
 * their bytes, not after newlines, since the newline may be the flipped byte.
 */
function findRecordAfter(
  bytes: Buffer,
  bad: ScanStart,
  offsetEnd: number,
): { record: ScannedRecord; k: number } | undefined {
  let sum = bad.k
  let summedTo = bad.startByte
  let at = bytes.indexOf(RECORD_START, bad.startByte + 1)
  for (; at >= 0; at = bytes.indexOf(RECORD_START, at + 1)) {
    if (!followsLineEnd(bytes, at)) continue
    const offset = readOffset(bytes, at)
    if (offset === undefined || offset < bad.nextOffset || offset >= offsetEnd) continue
    const endByte = bytes.indexOf('\n', at, 'latin1') + 1
    if (endByte === 0) return undefined
    if (endByte - at > RECORD_BYTES_MAX) continue

    const record = { offset, startByte: at, endByte }
    const stated = readHex8(bytes, at - LINE_END_BYTES)
    const k = stated === undefined ? undefined : checkLine(bytes, at, endByte, stated)
    if (k !== undefined) {
      // A reader takes the seed from the line's end only if all of that is whole.
      const isStated = lineEndCheck(bytes, at) !== undefined
      return { record: isStated ? record : { ...record, seed: stated! }, k }
    }
    const sumEnd = Math.max(summedTo, at - UNSUMMED_BYTES)
    sum = crc32(bytes.subarray(summedTo, sumEnd), sum)
    summedTo = sumEnd
    const byContent = checkLine(bytes, at, endByte, sum)
    if (byContent !== undefined) return { record: { ...record, seed: sum }, k: byContent }
  }
  return undefined
}

/** Before an object inside a sender's JSON stands one of these, and never a newline. */
const BEFORE_OBJECTS = Buffer.from(',[: \t\r', 'latin1')

/**
 * `"}\n` stands before `at`, one of the three perhaps damaged; not so before any object in a
 * sender's events, so nobody outside can make this search long.
 */
function followsLineEnd(bytes: Buffer, at: number): boolean {
  const isQuoted = bytes[at - 3] === 34
  const isClosed = bytes[at - 2] === 125
  const last = bytes[at - 1]!
  if (last === 10) return isQuoted || isClosed
  return isQuoted && isClosed && !BEFORE_OBJECTS.includes(last)
}
