/**
 * A segment: a header line, then records, each chained to the line before. Pure: bytes in, facts
 * out.
 *
 * A scan ends at the first line that is not whole. Whether that is the torn tail of a write that
 * was never acknowledged, or damage to records that were, shows in what follows it: a record that
 * checks out further on was written later, so the bad one had been on the disk. Zeros, garbage and
 * half a line have nothing after them. recovery.ts decides what to do; docs/formats/log.md is the
 * format.
 */
import { crc32, readHex8 } from '../kit/checksum.ts'
import {
  checkLine,
  LINE_END_BYTES,
  RECORD_BYTES_MAX,
  type RecordHead,
  readHead,
  writeCheck,
} from './record.ts'

export const LOG_VERSION = 1
/** The header is synced before the first record is written: a torn one is never longer. */
export const HEADER_BYTES_MAX = 512

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

/** A later version is told before the check: how that version checks itself is not ours to know. */
export function readHeader(bytes: Buffer): HeaderReading {
  const start = bytes.toString('latin1', 0, HEADER_BYTES_MAX)
  const version = Number(/^\{"format":"millrace-log","version":(\d{1,9}),/.exec(start)?.[1])
  if (version > LOG_VERSION) return { kind: 'newer', version }
  const endByte = start.indexOf('\n') + 1
  const k = endByte === 0 ? undefined : checkLine(bytes, 0, endByte, 0)
  if (k === undefined || version !== LOG_VERSION) return { kind: 'bad' }
  const { logId, segment, base, created } = JSON.parse(start.slice(0, endByte))
  return { kind: 'header', header: { logId, segment, base, createdMs: created }, endByte, k }
}

export interface ScannedRecord extends RecordHead {
  readonly startByte: number
  readonly endByte: number
}

export interface SegmentScan {
  /** One past the last whole line. */
  readonly endByte: number
  /** `k` of the last whole line. */
  readonly k: number
  readonly nextOffset: number
  /** Where a record that checks out stands after the first bad line; undefined when none does. */
  readonly damagedBefore: number | undefined
}

/** Visits every whole record from `reading` on, in order, and stops at the first that is not. */
export function scanSegment(
  bytes: Buffer,
  reading: HeaderReading & { kind: 'header' },
  visit: (record: ScannedRecord) => void,
): SegmentScan {
  let { endByte: startByte, k } = reading
  let nextOffset = reading.header.base
  while (startByte < bytes.length) {
    const endByte = bytes.indexOf('\n', startByte, 'latin1') + 1
    const next = endByte === 0 ? undefined : checkLine(bytes, startByte, endByte, k)
    if (next === undefined) break
    const head = readHead(bytes, startByte, endByte)
    // The chain makes this impossible, short of a writer's fault; serving it would hide that.
    if (head.offset !== nextOffset) break
    visit({ ...head, startByte, endByte })
    startByte = endByte
    nextOffset++
    k = next
  }
  const damagedBefore = findRecordAfter(bytes, startByte, k)
  return { endByte: startByte, k, nextOffset, damagedBefore }
}

const RECORD_START = Buffer.from('{"o":', 'latin1')

/**
 * The first place after a bad line at which a record checks out. Its seed is the `k` that stands
 * before it; should that be what is damaged, then the sum of the bad line itself. Starts are looked
 * for by their bytes, not after newlines, since the newline may be the flipped byte.
 */
export function findRecordAfter(bytes: Buffer, badByte: number, k: number): number | undefined {
  let at = bytes.indexOf(RECORD_START, badByte + 1)
  while (at >= 0) {
    const endByte = bytes.indexOf('\n', at, 'latin1') + 1
    if (endByte === 0) return undefined
    if (endByte - at <= RECORD_BYTES_MAX && endsLine(bytes, at)) {
      const stated = readHex8(bytes, at - LINE_END_BYTES)
      if (stated !== undefined && checkLine(bytes, at, endByte, stated) !== undefined) return at
      const summed = crc32(bytes.subarray(badByte, Math.max(badByte, at - 17)), k)
      if (checkLine(bytes, at, endByte, summed) !== undefined) return at
    }
    at = bytes.indexOf(RECORD_START, at + 1)
  }
  return undefined
}

/** Most of `"}\n` stands before `at`: one of the three may be the flipped byte. */
function endsLine(bytes: Buffer, at: number): boolean {
  const right = [34, 125, 10].filter((byte, place) => bytes[at - 3 + place] === byte)
  return right.length >= 2
}
