/**
 * One event over its bytes: is it what packages/protocol/src/event.ts describes?
 *
 * The typebox schema there is the specification; a differential test holds this file to it. Stricter
 * than the schema on purpose, because the lake's typed reader is (it fails whole on them) or because
 * readers differ on them: a known member given twice, half a surrogate pair, `__proto__`, numbers that
 * are no double, deep nesting. Integers are written without fraction and exponent.
 *
 * Lengths: a string never has more UTF-16 code units than bytes, so only one whose bytes are over its
 * limit is counted.
 */
import { DATA_COLUMNS, Event, limits, PURPOSES, parseTimestamp } from '@millrace/protocol'
import { RECORD_FLAGS } from '../log/event-log.ts'
import { findKey, KeyTable, scanKnownKey } from './key-table.ts'
import * as json from './scan-json.ts'
import {
  refuse,
  type Scan,
  scanKey,
  scanString,
  scanValue,
  skipBlanks,
  unescaped,
} from './scan-json.ts'
import { isTimestamp } from './scan-time.ts'

/** How a member's value is checked. */
const NAME = 0
const TEXT = 1
const TIME = 2
const DATA = 3
const COUNT = 4
const CONSENT = 5
export const RULES = {
  name: NAME,
  text: TEXT,
  time: TIME,
  data: DATA,
  count: COUNT,
  consent: CONSENT,
} as const

export interface Field {
  readonly name: keyof Event
  readonly rule: number
  readonly lengthMax: number
  readonly mayBeEmpty: boolean
  readonly mayBeNull: boolean
}

const field = (name: keyof Event, rule: number, lengthMax = 0, mayBeEmpty = false): Field => {
  const mayBeNull = !(Event.required as readonly string[]).includes(name)
  return { name, rule, lengthMax, mayBeEmpty, mayBeNull }
}

/** Members of an event. The first three are the required ones. */
export const FIELDS: readonly Field[] = [
  field('eventType', NAME, limits.EVENT_TYPE_LENGTH_MAX),
  field('timestamp', TIME, limits.TIMESTAMP_LENGTH_MAX),
  field('path', TEXT, limits.PATH_LENGTH_MAX),
  field('browser', TEXT, limits.BROWSER_LENGTH_MAX, true),
  field('target', TEXT, limits.TARGET_LENGTH_MAX, true),
  field('data', DATA),
  field('eventId', NAME, limits.ID_LENGTH_MAX),
  field('visitorId', NAME, limits.ID_LENGTH_MAX),
  field('userId', NAME, limits.ID_LENGTH_MAX),
  field('sessionId', NAME, limits.ID_LENGTH_MAX),
  field('pageId', NAME, limits.ID_LENGTH_MAX),
  field('seq', COUNT),
  field('consent', CONSENT),
]
const EVENT_KEYS = new KeyTable(FIELDS.map(({ name }) => name))
const TYPE_AND_TIME = 0b011
const PATH_BIT = 0b100

const DATA_KEYS = new KeyTable(Object.keys(DATA_COLUMNS))
const DATA_KINDS = Object.values(DATA_COLUMNS).map(({ kind }) => kind)
const CONSENT_KEYS = new KeyTable(PURPOSES)
const MEASURE = PURPOSES.indexOf('measure')

const EPOCH_MS_DIGITS_MAX = 15
const INTEGER_DIGITS_MAX = 10

/** What `scanEvent` found out, besides `Scan.code`. */
export interface EventFacts {
  /** Bit i: FIELDS[i] was given. */
  given: number
  /** `RECORD_FLAGS.mixed` and `.wild`. */
  flags: number
  consentStated: boolean
  measureRefused: boolean
}

export const createFacts = (): EventFacts => ({
  given: 0,
  flags: 0,
  consentStated: false,
  measureRefused: false,
})

/** Scans the value at `from` as an event; gives its end. The path may still come from the envelope. */
export function scanEvent(scan: Scan, facts: EventFacts, from: number): number {
  const { bytes } = scan
  scan.code = undefined
  facts.given = 0
  facts.flags = 0
  facts.consentStated = false
  facts.measureRefused = false
  if (bytes[from] !== json.OPEN_BRACE) {
    refuse(scan, 'not_an_object', from)
    return scanValue(scan, from, 0)
  }
  let i = skipBlanks(bytes, from + 1)
  let before = -1
  let count = 0
  while (bytes[i] !== json.CLOSE_BRACE) {
    const key = i
    if (++count > limits.KEYS_PER_OBJECT_MAX) refuse(scan, 'too_many_keys', key)
    i = scanKnownKey(scan, EVENT_KEYS, i, before)
    const index = scan.known
    before = index
    if (index < 0) {
      refuse(scan, 'unknown_field', key)
      i = scanValue(scan, i, 0)
    } else {
      const bit = 1 << index
      if ((facts.given & bit) !== 0) refuse(scan, 'duplicate_key', key)
      facts.given |= bit
      i = scanField(scan, facts, FIELDS[index]!, i)
    }
    i = json.nextMember(bytes, i)
  }
  i++
  if ((facts.given & TYPE_AND_TIME) !== TYPE_AND_TIME) refuse(scan, 'missing_field', from)
  if (i - from > limits.EVENT_BYTES_MAX) refuse(scan, 'event_too_large', from)
  return i
}

export function lacksPath(facts: EventFacts): boolean {
  return (facts.given & PATH_BIT) === 0
}

/** Scans the value of a known member; gives its end. */
export function scanField(scan: Scan, facts: EventFacts, field: Field, from: number): number {
  const byte = scan.bytes[from]
  if (byte === json.LETTER_N) {
    if (!field.mayBeNull) refuse(scan, 'wrong_type', from)
    return scanValue(scan, from, 0)
  }
  switch (field.rule) {
    case DATA:
      if (byte === json.OPEN_BRACE) return scanData(scan, facts, from)
      break
    case CONSENT:
      if (byte === json.OPEN_BRACE) return scanConsent(scan, facts, from)
      break
    case COUNT:
      if (byte !== undefined && isNumberStart(byte)) return scanCount(scan, from)
      break
    case TIME:
      if (byte !== undefined && isNumberStart(byte)) return scanEpoch(scan, from)
      if (byte === json.QUOTE) return scanText(scan, field, from)
      break
    default:
      if (byte === json.QUOTE) return scanText(scan, field, from)
  }
  refuse(scan, 'wrong_type', from)
  return scanValue(scan, from, 0)
}

function isNumberStart(byte: number): boolean {
  return byte === json.MINUS || (byte >= json.DIGIT_0 && byte <= json.DIGIT_0 + 9)
}

function scanText(scan: Scan, field: Field, from: number): number {
  const start = from + 1
  const next = scanString(scan, start)
  const end = next - 1
  if (end === start && !field.mayBeEmpty) refuse(scan, 'empty', from)
  if (end - start > field.lengthMax && codeUnitCount(scan, start, end) > field.lengthMax) {
    refuse(scan, 'too_long', from)
  }
  if (field.rule === NAME) {
    if (scan.control) refuse(scan, 'control_character', from)
  } else if (field.rule === TIME && !isTime(scan, start, end)) refuse(scan, 'bad_timestamp', from)
  return next
}

function isTime(scan: Scan, start: number, end: number): boolean {
  if (!scan.escaped) return isTimestamp(scan.bytes, start, end)
  return parseTimestamp(unescaped(scan.bytes, start, end)) !== undefined
}

/** Length of a string's text in UTF-16 code units. */
function codeUnitCount(scan: Scan, start: number, end: number): number {
  return scan.escaped
    ? unescaped(scan.bytes, start, end).length
    : json.text(scan.bytes, start, end).length
}

function scanEpoch(scan: Scan, from: number): number {
  const end = json.scanNumber(scan, from)
  if (!isEpoch(scan, from, end)) refuse(scan, 'bad_timestamp', from)
  return end
}

function isEpoch(scan: Scan, start: number, end: number): boolean {
  if (!scan.integer || scan.bytes[start] === json.MINUS) return false
  if (scan.digits > EPOCH_MS_DIGITS_MAX) return false
  return parseTimestamp(integerOf(scan.bytes, start, end)) !== undefined
}

function scanCount(scan: Scan, from: number): number {
  const end = json.scanNumber(scan, from)
  if (!scan.integer) refuse(scan, 'wrong_type', from)
  else if (scan.bytes[from] === json.MINUS || !fitsInteger(scan, from, end)) {
    refuse(scan, 'number_out_of_range', from)
  }
  return end
}

/** An integer within ±INTEGER_MAX, -0 apart: gives its end, or -1. */
export function scanInteger(scan: Scan, from: number): number {
  const byte = scan.bytes[from]
  if (byte === undefined || !isNumberStart(byte)) return -1
  const end = json.scanNumber(scan, from)
  if (byte === json.MINUS && scan.bytes[from + 1] === json.DIGIT_0) return -1
  return fitsInteger(scan, from, end) ? end : -1
}

/** The number scanned last is an integer within ±INTEGER_MAX. */
function fitsInteger(scan: Scan, from: number, end: number): boolean {
  if (!scan.integer || scan.digits > INTEGER_DIGITS_MAX) return false
  const start = scan.bytes[from] === json.MINUS ? from + 1 : from
  return integerOf(scan.bytes, start, end) <= limits.INTEGER_MAX
}

function integerOf(bytes: Uint8Array, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) value = value * 10 + bytes[i]! - json.DIGIT_0
  return value
}

function scanConsent(scan: Scan, facts: EventFacts, from: number): number {
  const { bytes } = scan
  facts.consentStated = true
  let i = skipBlanks(bytes, from + 1)
  let given = 0
  let count = 0
  while (bytes[i] !== json.CLOSE_BRACE) {
    const key = i
    if (++count > limits.KEYS_PER_OBJECT_MAX) refuse(scan, 'too_many_keys', key)
    i = scanKey(scan, i)
    const index = findKey(scan, CONSENT_KEYS)
    const byte = bytes[i]
    if (index < 0) refuse(scan, 'unknown_field', key)
    else if ((given & (1 << index)) !== 0) refuse(scan, 'duplicate_key', key)
    else if (byte !== json.LETTER_T && byte !== json.LETTER_F) refuse(scan, 'wrong_type', i)
    given |= index < 0 ? 0 : 1 << index
    if (index === MEASURE && byte === json.LETTER_F) facts.measureRefused = true
    i = json.nextMember(bytes, scanValue(scan, i, 1))
  }
  return i + 1
}

/** `data` is anyone's, but its keys that are columns are looked at, for the reader of the log. */
export function scanData(scan: Scan, facts: EventFacts, from: number): number {
  const { bytes } = scan
  scan.inexact = false
  let i = skipBlanks(bytes, from + 1)
  let given = 0
  let before = -1
  let count = 0
  while (bytes[i] !== json.CLOSE_BRACE) {
    const key = i
    if (++count > limits.KEYS_PER_OBJECT_MAX) refuse(scan, 'too_many_keys', key)
    i = scanKnownKey(scan, DATA_KEYS, i, before)
    const column = scan.known
    before = column
    const start = i
    i = scanValue(scan, i, 1)
    if (column < 0) facts.flags |= RECORD_FLAGS.mixed
    else {
      if ((given & (1 << column)) !== 0) refuse(scan, 'duplicate_key', key)
      given |= 1 << column
      if (!fitsColumn(scan, column, start, i)) facts.flags |= RECORD_FLAGS.wild
    }
    i = json.nextMember(bytes, i)
  }
  if (scan.inexact) facts.flags |= RECORD_FLAGS.wild
  if ((facts.flags & RECORD_FLAGS.wild) !== 0) facts.flags |= RECORD_FLAGS.mixed
  return i + 1
}

/** The value scanned last is of the kind that the column takes. */
function fitsColumn(scan: Scan, column: number, start: number, end: number): boolean {
  const byte = scan.bytes[start]!
  const kind = DATA_KINDS[column]
  if (kind === 'text') return byte === json.QUOTE
  if (!isNumberStart(byte)) return false
  return kind === 'coordinate' || fitsInteger(scan, start, end)
}
