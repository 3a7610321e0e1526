/**
 * One record: a batch as one line of JSON whose last member `k` checks the line and the one before.
 *
 * The events, as objects or as packed columns, are copied once, as the bytes that came; nothing here looks at a single event. `k` is
 * the CRC-32 of every byte of the line before `,"k":"`, seeded with the `k` of the line before, so
 * that a line that is whole but in the wrong place (an old block that came back) fails as a damaged
 * one does. The format is in docs/formats/log.md; segments of such lines are in segment.ts.
 */
import { crc32, readHex8, writeHex8 } from '../kit/checksum.ts'
import type { BatchEntry } from './event-log.ts'

/**
 * One line. A body is at most 1 MiB, but refused events are kept as JSON strings, where a control
 * character becomes six; 8 MiB holds the worst of them and keeps a wrong caller out.
 */
export const RECORD_BYTES_MAX = 8 * 1_048_576
/** Counts of one batch: they are kept in 16 bits each (batch-memory.ts). */
export const BATCH_EVENTS_MAX = 65_535
/** `xxxxxxxx"}\n`: what must be read before a range of lines to verify it. */
export const LINE_END_BYTES = 11
/** `,"k":"xxxxxxxx"}\n` */
const CHECK_BYTES = 17

const KEY_K = Buffer.from(',"k":"', 'latin1')
const NO_REJECTIONS = Buffer.from(',"x":null', 'latin1')
const NULL = Buffer.from('null', 'latin1')
const NEWLINE = 10

/** A buffer that is filled from the start, grows as needed and is used again. */
export class Slab {
  buffer: Buffer
  length = 0

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes)
  }

  /** Room for `bytes` more; doubles, so that a byte is moved once on average. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.buffer.length) return
    let size = this.buffer.length
    while (size < needed) size *= 2
    const larger = Buffer.allocUnsafeSlow(size)
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }
}

/**
 * Appends the record of `entry` to the slab and returns its `k`. Throws RangeError, leaving the
 * slab as it was, for what could not be read back: a raw newline, too many bytes, counts out of
 * range.
 */
export function appendRecord(slab: Slab, entry: BatchEntry, offset: number, seed: number): number {
  const { indexes, rejections, eventCount, packed } = entry
  if (eventCount + rejections.length > BATCH_EVENTS_MAX) {
    throw new RangeError(`${eventCount + rejections.length} events, at most ${BATCH_EVENTS_MAX}`)
  }
  if (packed !== null && rejections.length > 0) {
    throw new RangeError('packed events with refused ones among them')
  }
  const head =
    `{"o":${offset},"t":${entry.tenantNo},"s":${entry.sourceNo},"r":${entry.receivedMs}` +
    `,"q":${entry.sentMs},"b":${JSON.stringify(entry.batchId)},"n":${eventCount}` +
    `,"f":${entry.flags},"i":${indexes === null ? 'null' : `[${indexes.join(',')}]`}` +
    `,"d":${entry.defaults},"c":${entry.context},"e":${packed === null ? '' : 'null,"p":'}`
  const tail = `${packed === null ? ',"p":null' : ''},"x":${rejectionsText(entry)}`
  const events = eventCount === 0 ? NULL : (packed ?? entry.events)
  // A UTF-16 unit is at most three bytes of UTF-8.
  slab.reserve(3 * (head.length + tail.length) + events.length + CHECK_BYTES)

  const { buffer, length: start } = slab
  let at = start + buffer.write(head, start, 'utf8')
  buffer.set(events, at)
  at += events.length
  at += buffer.write(tail, at, 'utf8')
  const body = buffer.subarray(start, at)
  if (body.includes(NEWLINE)) throw new RangeError('a record must not hold a raw newline')
  if (body.length > RECORD_BYTES_MAX - CHECK_BYTES) {
    throw new RangeError(`a record of ${body.length} bytes, at most ${RECORD_BYTES_MAX}`)
  }
  const k = crc32(body, seed)
  slab.length = writeCheck(buffer, at, k)
  return k
}

function rejectionsText(entry: BatchEntry): string {
  if (entry.rejections.length === 0) return 'null'
  // Members are named one by one: their order is the format's.
  return JSON.stringify(
    entry.rejections.map(({ index, code, detail, pointer, raw }) => {
      return { index, code, detail, pointer, raw }
    }),
  )
}

/** Writes `,"k":"xxxxxxxx"}\n` at `at`; returns where it ends. */
export function writeCheck(target: Buffer, at: number, k: number): number {
  target.set(KEY_K, at)
  writeHex8(target, at + 6, k)
  target.write('"}\n', at + 14, 'latin1')
  return at + CHECK_BYTES
}

/** The `k` of the line [start, end), `end` past its newline; undefined when any byte is wrong. */
export function checkLine(
  bytes: Buffer,
  start: number,
  end: number,
  seed: number,
): number | undefined {
  const cut = end - CHECK_BYTES
  if (cut <= start || end > bytes.length) return undefined
  if (bytes.compare(KEY_K, 0, 6, cut, cut + 6) !== 0) return undefined
  const k = lineEndCheck(bytes, end)
  return k !== undefined && k === crc32(bytes.subarray(start, cut), seed) ? k : undefined
}

/** The `k` that the line ending at `end` claims, from its last eleven bytes alone. */
export function lineEndCheck(bytes: Uint8Array, end: number): number | undefined {
  const shaped = bytes[end - 3] === 34 && bytes[end - 2] === 125 && bytes[end - 1] === NEWLINE
  return shaped ? readHex8(bytes, end - LINE_END_BYTES) : undefined
}

/** What recovery needs of a record. */
export interface RecordHead {
  readonly offset: number
  readonly tenantNo: number
  readonly sourceNo: number
  readonly receivedMs: number
  readonly batchId: string
  readonly acceptedCount: number
  readonly rejectedCount: number
}

const OFFSET_DIGITS_MAX = 16

/** The offset that a record beginning at `start` claims: `{"o":41,`. */
export function readOffset(bytes: Buffer, start: number): number | undefined {
  let offset = 0
  let at = start + 5
  for (; at < start + 5 + OFFSET_DIGITS_MAX; at++) {
    const digit = (bytes[at] ?? 0) - 48
    if (digit < 0 || digit > 9) break
    offset = offset * 10 + digit
  }
  return at > start + 5 && bytes[at] === 44 ? offset : undefined
}

/**
 * Reads the head of a line whose check holds; the events are not parsed. Inside JSON strings every
 * quote is escaped, so the first `,"d":` and the last `,"p":null,"x":` are the members themselves;
 * a record with packed columns has no refused events.
 */
export function readHead(bytes: Buffer, start: number, end: number): RecordHead {
  const headEnd = bytes.indexOf(',"d":', start, 'latin1')
  const head = JSON.parse(`${bytes.toString('utf8', start, headEnd)}}`)
  return {
    offset: head.o,
    tenantNo: head.t,
    sourceNo: head.s,
    receivedMs: head.r,
    batchId: head.b,
    acceptedCount: head.n,
    rejectedCount: rejectedCount(bytes, start, end - CHECK_BYTES),
  }
}

function rejectedCount(bytes: Buffer, start: number, end: number): number {
  const none = end - NO_REJECTIONS.length
  if (none > start && bytes.compare(NO_REJECTIONS, 0, NO_REJECTIONS.length, none, end) === 0) {
    return 0
  }
  const line = bytes.subarray(start, end)
  const from = line.lastIndexOf(',"p":null,"x":', undefined, 'latin1') + ',"p":null,"x":'.length
  return JSON.parse(line.toString('utf8', from)).length
}
