/**
 * A whole request body in one pass: its grammar, its events, its envelope's members.
 *
 * Nothing is decided here that needs the whole body: an event without a path may find one in an
 * envelope whose `path` comes after the events, so each event's facts are noted in a byte and
 * `decode.ts` decides. The arrays are made once and used for every body: decoding is synchronous, and
 * the accepting path allocates nothing per event.
 *
 * A single event cannot be told from an envelope before its last member, so an object without
 * `events` and `packed` is scanned twice: once for the grammar, once as an event.
 */
import { Envelope, limits, type RejectionCode } from '@millrace/protocol'
import { findKey, KeyTable } from './key-table.ts'
import { packedFacts, scanPacked } from './packed-columns.ts'
import { openPlainEvents } from './plain-events.ts'
import { createFacts, lacksPath, scanEvent } from './scan-event.ts'
import * as json from './scan-json.ts'
import { createScan, JsonFault, scanKey, scanValue, skipBlanks } from './scan-json.ts'

/** Notes on one event. `RECORD_FLAGS.mixed` and `.wild` (1 and 2) stand in the lowest bits. */
export const NOTES = {
  flags: 3,
  lacksPath: 4,
  consentStated: 8,
  measureRefused: 16,
  refused: 32,
} as const

/** Why an event was refused: the code and the position of what is to blame. */
export interface Refusal {
  readonly code: RejectionCode
  readonly at: number
}

/** Names an envelope may hold. */
export const ENVELOPE_NAMES = Object.keys(Envelope.properties)
const ENVELOPE_KEYS = new KeyTable(ENVELOPE_NAMES)
const EVENTS = ENVELOPE_NAMES.indexOf('events')
const PACKED = ENVELOPE_NAMES.indexOf('packed')

export interface EnvelopeMember {
  /** Index in ENVELOPE_NAMES, or -1. */
  readonly index: number
  /** Position of the key's opening quote. */
  readonly keyStart: number
  /** Its value is [start, end). */
  readonly start: number
  readonly end: number
}

export interface ScannedBody {
  /** What stands at the top level; `other` is JSON, but no batch. */
  shape: 'array' | 'event' | 'envelope' | 'other'
  /** All events, also those above the limit, which are only counted. */
  eventCount: number
  /** Event i is [bounds[2i], bounds[2i + 1]). */
  readonly bounds: Int32Array
  readonly notes: Uint8Array
  readonly refusals: Map<number, Refusal>
  /** Members of the envelope but the array of events, in their order. */
  readonly members: EnvelopeMember[]
  /** The array of events: brackets included, or of the single event; -1: there is none. */
  eventsStart: number
  eventsEnd: number
  /** The object of packed columns, braces included; -1: there is none. */
  packedStart: number
  packedEnd: number
  /** Events in columns that are in order, and their `RECORD_FLAGS`; -1: to be looked at closely. */
  packedCount: number
  packedFlags: number
}

const scan = createScan()
const facts = createFacts()
const plain = openPlainEvents()
let recognises = false
const body: ScannedBody = {
  shape: 'other',
  eventCount: 0,
  bounds: plain?.bounds ?? new Int32Array(2 * limits.EVENTS_PER_BATCH_MAX),
  notes: plain?.notes ?? new Uint8Array(limits.EVENTS_PER_BATCH_MAX),
  refusals: new Map(),
  members: [],
  eventsStart: -1,
  eventsEnd: -1,
  packedStart: -1,
  packedEnd: -1,
  packedCount: -1,
  packedFlags: 0,
}

/**
 * Scans `bytes` from `from` to their end. Throws `JsonFault`. The result is valid until the next call.
 * `mayRecognise` false: every event by the specification, for tests that compare.
 */
export function scanBody(bytes: Uint8Array, from: number, mayRecognise = true): ScannedBody {
  recognises = mayRecognise && plain !== undefined
  scan.bytes = bytes
  body.eventCount = 0
  body.refusals.clear()
  body.members.length = 0
  body.eventsStart = -1
  body.packedStart = -1
  const start = skipBlanks(bytes, from)
  const end = scanTop(bytes, start)
  const rest = skipBlanks(bytes, end)
  if (rest < bytes.length) throw new JsonFault(rest, 'the end of the body')
  return body
}

function scanTop(bytes: Uint8Array, start: number): number {
  switch (bytes[start]) {
    case json.OPEN_BRACKET:
      body.shape = 'array'
      return scanEvents(bytes, start)
    case json.OPEN_BRACE: {
      const end = scanEnvelope(bytes, start)
      if (body.shape === 'envelope') return end
      body.members.length = 0
      body.eventsStart = start
      body.eventsEnd = end
      return noteEvent(start)
    }
    default:
      body.shape = 'other'
      return scanValue(scan, start, 0)
  }
}

/** `start` is at the bracket. */
function scanEvents(bytes: Uint8Array, start: number): number {
  body.eventsStart = start
  let i = skipBlanks(bytes, start + 1)
  if (bytes[i] !== json.CLOSE_BRACKET) recognises &&= plain!.load(bytes)
  while (bytes[i] !== json.CLOSE_BRACKET) {
    i = json.nextElement(bytes, recognises ? noteEvents(i) : noteEvent(i))
  }
  body.eventsEnd = i + 1
  return i + 1
}

/** The plain ones from `start` on, or the one that is not. */
function noteEvents(start: number): number {
  const count = plain!.recognise(start, body.eventCount)
  if (count === 0) return noteEvent(start)
  body.eventCount += count
  return body.bounds[2 * body.eventCount - 1]!
}

function noteEvent(start: number): number {
  const index = body.eventCount++
  if (index >= limits.EVENTS_PER_BATCH_MAX) return scanValue(scan, start, 0)
  const end = scanEvent(scan, facts, start)
  body.bounds[2 * index] = start
  body.bounds[2 * index + 1] = end
  let notes = facts.flags
  if (lacksPath(facts)) notes |= NOTES.lacksPath
  if (facts.consentStated) notes |= NOTES.consentStated
  if (facts.measureRefused) notes |= NOTES.measureRefused
  if (scan.code !== undefined) {
    notes |= NOTES.refused
    body.refusals.set(index, { code: scan.code, at: scan.at })
  }
  body.notes[index] = notes
  return end
}

/** Columns from `start`, at the brace. */
function notePacked(start: number): number {
  const end = scanPacked(scan, start)
  body.packedCount = end < 0 ? -1 : packedFacts.eventCount
  body.packedFlags = packedFacts.flags
  body.packedStart = start
  body.packedEnd = end < 0 ? scanValue(scan, start, 0) : end
  return body.packedEnd
}

/**
 * An object: an envelope if one of its members is `events` or `packed`. The first array, the first
 * object of that name counts.
 */
function scanEnvelope(bytes: Uint8Array, from: number): number {
  body.shape = 'event'
  let i = skipBlanks(bytes, from + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    const keyStart = i
    i = scanKey(scan, i)
    const start = i
    const index = findKey(scan, ENVELOPE_KEYS)
    if (index === EVENTS || index === PACKED) body.shape = 'envelope'
    if (index === EVENTS && body.eventsStart < 0 && bytes[start] === json.OPEN_BRACKET) {
      i = scanEvents(bytes, start)
    } else if (index === PACKED && body.packedStart < 0 && bytes[start] === json.OPEN_BRACE) {
      i = notePacked(start)
    } else {
      i = scanValue(scan, start, 0)
      if (body.members.length < limits.KEYS_PER_OBJECT_MAX) {
        body.members.push({ index, keyStart, start, end: i })
      }
    }
    i = json.nextMember(bytes, i)
  }
  return i + 1
}
