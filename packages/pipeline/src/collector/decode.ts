/**
 * A request's body as a batch: what the log keeps of it, and why the rest is refused.
 *
 * A body that is not JSON, or an envelope that is wrong, is refused whole, since nobody can tell what
 * the sender meant. A single bad event is cut out by its byte range and its neighbours are kept, as
 * the bytes that came. Nothing is parsed on the way of an event that is accepted.
 *
 * The body is handed over: it becomes part of the batch, and blanks that would end a line of the log
 * are overwritten in it.
 */
import { isUtf8 } from 'node:buffer'
import { limits, type Problem, problem, REJECTIONS, type RejectionCode } from '@millrace/protocol'
import { RECORD_FLAGS, type RecordedRejection } from '../log/event-log.ts'
import { type EnvelopeFacts, NO_ENVELOPE, readEnvelope } from './envelope.ts'
import { explainFault, explainRefusal, quote, textUpTo } from './explain.ts'
import { readPacked } from './packed-shape.ts'
import { NOTES, type ScannedBody, scanBody } from './scan.ts'
import { JsonFault } from './scan-json.ts'
import { unpackBatch } from './unpack-batch.ts'

/** Characters kept of a refused event: enough to see what was wrong, little enough to be abused. */
export const RAW_LENGTH_MAX = 4_096

export interface DecodedBatch {
  readonly batchId: string | undefined
  readonly sentMs: number | null
  /** The write key inside the envelope, for senders that can set neither query nor header. */
  readonly key: string | undefined
  readonly historical: boolean
  /** JSON object text of the envelope's defaults. */
  readonly defaults: string
  /** JSON array text of the accepted events, in one line; `[]` when there is none, or in `packed`. */
  readonly events: Buffer
  /** JSON object text of packed columns, in one line, when all their events are accepted. */
  readonly packed: Buffer | null
  /** Accepted events. */
  readonly eventCount: number
  /** `RECORD_FLAGS` or-ed, of the accepted events. */
  readonly flags: number
  /** Places of the accepted events in the batch as sent; null when none was refused. */
  readonly indexes: readonly number[] | null
  readonly rejections: readonly RecordedRejection[]
}

export type Decoded =
  | { readonly ok: true; readonly batch: DecodedBatch }
  | { readonly ok: false; readonly problem: Problem }

/** `body` is decompressed; its size was limited by the caller (limits.BODY_BYTES_MAX). */
export function decodeBatch(body: Buffer): Decoded {
  if (!isUtf8(body)) return refused(problem('invalid_utf8', notUtf8At(body)))
  const start = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0
  let scanned: ScannedBody
  try {
    scanned = scanBody(body, start)
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error
    return refused(explainFault(body, error, start))
  }
  if (scanned.shape === 'other') {
    const found = quote(body, start, body.length).trim()
    return refused(
      problem('invalid_request', `the body is ${found}: an object or an array is expected`),
    )
  }
  const envelope = scanned.shape === 'envelope' ? readEnvelope(body, scanned.members) : NO_ENVELOPE
  if ('code' in envelope) return refused(envelope)
  if (scanned.packedStart >= 0) return decodePacked(body, scanned, envelope)
  if (scanned.eventCount > limits.EVENTS_PER_BATCH_MAX) {
    const detail = `${scanned.eventCount} events: at most ${limits.EVENTS_PER_BATCH_MAX} in a batch`
    return refused(problem('too_many_events', detail))
  }
  return { ok: true, batch: assemble(body, scanned, envelope) }
}

function refused(problem: Problem): Decoded {
  return { ok: false, problem }
}

/**
 * Columns that are all in order are kept as they came. If some event of them is refused, or the scan
 * is not sure, they become objects and go the ordinary way.
 */
function decodePacked(body: Buffer, scanned: ScannedBody, envelope: EnvelopeFacts): Decoded {
  const { packedStart, packedEnd, packedCount, packedFlags } = scanned
  const invalid = (pointer: string, detail: string) =>
    refused(problem('invalid_envelope', detail, { pointer }))
  if (scanned.eventsStart >= 0) return invalid('/packed', 'events and packed: only one of the two')
  if (!envelope.hasPath) return invalid('/path', 'path is missing: packed events have none')
  if (packedCount >= 0 && !envelope.measureRefused) {
    const packed = inOneLine(body.subarray(packedStart, packedEnd))
    const taken = { packed, eventCount: packedCount, flags: packedFlags }
    return { ok: true, batch: batchOf(envelope, taken) }
  }
  const parts = readPacked(body, packedStart)
  if ('code' in parts) return refused(parts)
  if (envelope.measureRefused) {
    const rejections = Array.from({ length: parts.eventCount }, (_, index) => unmeasured(index))
    return { ok: true, batch: batchOf(envelope, { indexes: [], rejections }) }
  }
  const chunks = unpackBatch(parts)
  if ('code' in chunks) return refused(chunks)
  return { ok: true, batch: assembleChunks(chunks, envelope) }
}

/** What is not given is nothing. */
function batchOf(envelope: EnvelopeFacts, given: Partial<DecodedBatch>): DecodedBatch {
  const { batchId, sentMs, key, historical, defaults } = envelope
  const nothing = { events: NO_EVENTS, packed: null, eventCount: 0, indexes: null, rejections: [] }
  const flags = (given.flags ?? 0) | (historical ? RECORD_FLAGS.historical : 0)
  return { batchId, sentMs, key, historical, defaults, ...nothing, ...given, flags }
}

function assembleChunks(chunks: readonly Buffer[], envelope: EnvelopeFacts): DecodedBatch {
  const events: Buffer[] = []
  const indexes: number[] = []
  const rejections: RecordedRejection[] = []
  let flags = 0
  for (const [at, chunk] of chunks.entries()) {
    const before = at * limits.EVENTS_PER_BATCH_MAX
    const scanned = scanBody(chunk, 0)
    const part = assemble(chunk, scanned, envelope)
    const { eventCount } = scanned
    for (let index = 0; part.indexes === null && index < eventCount; index++)
      indexes.push(before + index)
    for (const index of part.indexes ?? []) indexes.push(before + index)
    for (const one of part.rejections) rejections.push({ ...one, index: before + one.index })
    if (part.eventCount > 0) events.push(COMMA, part.events.subarray(1, -1))
    flags |= part.flags
  }
  return batchOf(envelope, {
    events: Buffer.concat([OPEN, ...events.slice(1), CLOSE]),
    eventCount: indexes.length,
    flags,
    indexes: rejections.length === 0 ? null : indexes,
    rejections,
  })
}

/** Where UTF-8 ends, found by halving: a prefix up to the start of a character is good or it is not. */
function notUtf8At(body: Buffer): string {
  let good = 0
  let bad = body.length
  while (good + 1 < bad) {
    const middle = (good + bad) >>> 1
    if (isUtf8(body.subarray(0, characterStart(body, middle)))) good = middle
    else bad = middle
  }
  const at = characterStart(body, good)
  return `byte ${at} (0x${body[at]!.toString(16).padStart(2, '0')}) is not UTF-8`
}

/** Back over continuation bytes, of which a character has at most three. */
function characterStart(body: Buffer, from: number): number {
  let at = from
  while (at > 0 && from - at < 3 && (body[at]! & 0xc0) === 0x80) at--
  return at
}

function assemble(body: Buffer, scanned: ScannedBody, envelope: EnvelopeFacts): DecodedBatch {
  const { bounds, eventCount } = scanned
  const rejections: RecordedRejection[] = []
  const indexes: number[] = []
  let flags = 0
  for (let index = 0; index < eventCount; index++) {
    const notes = scanned.notes[index]!
    const code = refusalOf(scanned, index, notes, envelope)
    if (code === undefined) {
      flags |= notes & NOTES.flags
      indexes.push(index)
      continue
    }
    const start = bounds[2 * index]!
    const at = scanned.refusals.get(index)?.at ?? start
    rejections.push(reject(body, index, start, bounds[2 * index + 1]!, code, at))
  }
  const isWhole = rejections.length === 0
  return batchOf(envelope, {
    events: inOneLine(isWhole ? takeAll(body, scanned) : takeSome(body, bounds, indexes)),
    eventCount: indexes.length,
    flags,
    indexes: isWhole ? null : indexes,
    rejections,
  })
}

/**
 * Why event `index` is refused, or undefined. A refused purpose comes before every other reason, so
 * that no event of such a visitor is kept under another one.
 */
function refusalOf(
  scanned: ScannedBody,
  index: number,
  notes: number,
  envelope: EnvelopeFacts,
): RejectionCode | undefined {
  const isStated = (notes & NOTES.consentStated) !== 0
  const isRefused = isStated ? (notes & NOTES.measureRefused) !== 0 : envelope.measureRefused
  if (isRefused) return 'consent_refused'
  if ((notes & NOTES.refused) !== 0) return scanned.refusals.get(index)!.code
  if ((notes & NOTES.lacksPath) !== 0 && !envelope.hasPath) return 'missing_field'
  return undefined
}

function reject(
  body: Buffer,
  index: number,
  start: number,
  end: number,
  code: RejectionCode,
  at: number,
): RecordedRejection {
  if (code === 'consent_refused') return unmeasured(index)
  const { pointer, detail } = explainRefusal(body, start, end, { code, at })
  return { index, code, detail, pointer, raw: textUpTo(body, start, end, RAW_LENGTH_MAX) }
}

/** Who refused to be measured is not kept in the table of rejections either: no text, only the count. */
function unmeasured(index: number): RecordedRejection {
  const code = 'consent_refused'
  return { index, code, detail: REJECTIONS[code], pointer: '', raw: '' }
}

function takeAll(body: Buffer, scanned: ScannedBody): Buffer {
  const events = body.subarray(scanned.eventsStart, scanned.eventsEnd)
  return scanned.shape === 'event' ? Buffer.concat([OPEN, events, CLOSE]) : events
}

const OPEN = Buffer.from('[')
const COMMA = Buffer.from(',')
const CLOSE = Buffer.from(']')
const NO_EVENTS = Buffer.from('[]')

/** The events at `indexes`; neighbours are taken with what stands between them. */
function takeSome(body: Buffer, bounds: Int32Array, indexes: readonly number[]): Buffer {
  const parts: Buffer[] = [OPEN]
  for (let from = 0; from < indexes.length; ) {
    let to = from
    while (to + 1 < indexes.length && indexes[to + 1] === indexes[to]! + 1) to++
    if (from > 0) parts.push(COMMA)
    parts.push(body.subarray(bounds[2 * indexes[from]!]!, bounds[2 * indexes[to]! + 1]!))
    from = to + 1
  }
  parts.push(CLOSE)
  return Buffer.concat(parts)
}

/** Strings hold no raw control characters, so each of these bytes is a blank between tokens. */
function inOneLine(events: Buffer): Buffer {
  for (const blank of BREAKS) {
    for (let i = events.indexOf(blank); i >= 0; i = events.indexOf(blank, i + 1)) events[i] = SPACE
  }
  return events
}

const BREAKS = [0x0a, 0x0d, 0x09]
const SPACE = 0x20
