/**
 * Packed columns in one pass over their bytes: is everything in order, and how many events are they?
 *
 * It only ever says "every one of these events would be accepted, and these are their flags": nothing
 * is built for an event. What it is not sure of is read again by packed-shape.ts, which finds the
 * words for a fault of the shape, or unpacked into objects and judged by scan-event.ts, the
 * specification. A differential test holds every yes to it, and to the typed reader behind the log,
 * which dies whole on a number of the wrong kind, a member given twice, half a surrogate pair.
 */
import { limits, Packed } from '@millrace/protocol'
import { KeyTable, scanKnownKey } from './key-table.ts'
import { createFacts, FIELDS, scanData, scanField, scanInteger } from './scan-event.ts'
import * as json from './scan-json.ts'
import { type Scan, scanKey, scanNumber, scanString, skipBlanks } from './scan-json.ts'

/** Members of `packed` and of its `all`; the position of each is its number below. */
export const PACKED_NAMES = Object.keys(Packed.properties)
export const ALL_NAMES = Object.keys(Packed.properties.all.properties)
const KEYS = new KeyTable(PACKED_NAMES)
const ALL_KEYS = new KeyTable(ALL_NAMES)

const placeOf = (name: string) => PACKED_NAMES.indexOf(name)
const V = placeOf('v')
const T0 = placeOf('t0')
const TYPES = placeOf('types')
const TARGETS = placeOf('targets')
const T = placeOf('t')
const TYPE = placeOf('type')
const TARGET = placeOf('target')
const SEQ = placeOf('seq')
const ALL = placeOf('all')
const DATA = placeOf('data')
const REQUIRED = (1 << V) | (1 << T0) | (1 << TYPES) | (1 << T)
const COLUMNS = ['t', 'type', 'target', 'x', 'y', 'offsetX', 'offsetY'].map(placeOf)

const TYPE_FIELD = FIELDS.find(({ name }) => name === 'eventType')!
const TARGET_FIELD = FIELDS.find(({ name }) => name === 'target')!
const ALL_POINTER_ID = ALL_NAMES.indexOf('pointerId')
const ALL_POINTER_TYPE = ALL_NAMES.indexOf('pointerType')

/** Below so many digits before its fraction a number is within ±COORDINATE_MAX. */
const COORDINATE_DIGITS_MAX = 300
/** What stands around an entry of `data` in its event as an object, at most. */
const EVENT_FRAME_BYTES_MAX = 8_192
const SPACE = 0x20
const POINT = 0x2e
const LETTER_E = 0x65
/** Not recognised: as a position. */
const NO = -1

/** Of the columns recognised last. */
export const packedFacts = { eventCount: 0, flags: 0 }

const facts = createFacts()
/** Of the column or list scanned last. */
let count = 0
/** The largest number of the column scanned last. */
let largest = 0
/** By member: its count, and the value or the largest value. */
const counts = new Int32Array(PACKED_NAMES.length)
const values = new Float64Array(PACKED_NAMES.length)

/** `from` is at the brace. Gives the position after the columns, or -1. Throws `JsonFault`. */
export function scanPacked(scan: Scan, from: number): number {
  const { bytes } = scan
  scan.code = undefined
  facts.flags = 0
  let given = 0
  let before = -1
  let i = skipBlanks(bytes, from + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    i = scanKnownKey(scan, KEYS, i, before)
    const member = scan.known
    const bit = 1 << member
    if (member < 0 || (given & bit) !== 0) return NO
    given |= bit
    before = member
    count = 0
    largest = 0
    i = scanMember(scan, member, i)
    if (i < 0) return NO
    i = skipBlanks(bytes, i)
    // A whole number may go on with a fraction: it is JSON all the same.
    if (bytes[i] !== json.COMMA && bytes[i] !== json.CLOSE_BRACE) return NO
    counts[member] = count
    values[member] = largest
    i = json.nextMember(bytes, i)
  }
  if (scan.code !== undefined || !isConsistent(given)) return NO
  packedFacts.eventCount = counts[T]!
  packedFacts.flags = facts.flags
  return i + 1
}

function scanMember(scan: Scan, member: number, from: number): number {
  const { bytes } = scan
  switch (member) {
    case V:
      return scanWhole(bytes, from, 1)
    case T0:
      return scanWhole(bytes, from, limits.EPOCH_MAX_MS)
    case SEQ:
      return scanWhole(bytes, from, limits.INTEGER_MAX)
    case TYPES:
    case TARGETS:
      return scanTexts(scan, member, from)
    case T:
      return scanWholes(bytes, from, 0, limits.PACKED_SPAN_MAX_MS)
    case TYPE:
      return scanWholes(bytes, from, 0, limits.PACKED_TYPES_MAX)
    case TARGET:
      return scanWholes(bytes, from, -1, limits.PACKED_TARGETS_MAX)
    case ALL:
      return scanAll(scan, from)
    case DATA:
      return scanEntries(scan, from)
    default:
      return scanCoordinates(scan, from)
  }
}

/** What one member says of another. */
function isConsistent(given: number): boolean {
  const has = (member: number) => (given & (1 << member)) !== 0
  const eventCount = counts[T]!
  if ((given & REQUIRED) !== REQUIRED || values[V] !== 1) return false
  if (eventCount > limits.PACKED_EVENTS_MAX) return false
  for (const column of COLUMNS) if (has(column) && counts[column] !== eventCount) return false
  if (values[T0]! + values[T]! > limits.EPOCH_MAX_MS) return false
  if (counts[TYPES]! < 1 || counts[TYPES]! > limits.PACKED_TYPES_MAX) return false
  if (has(TYPE) && values[TYPE]! >= counts[TYPES]!) return false
  const targetCount = has(TARGETS) ? counts[TARGETS]! : 0
  if (targetCount > limits.PACKED_TARGETS_MAX) return false
  if (has(TARGET) && values[TARGET]! >= targetCount) return false
  if (has(SEQ) && values[SEQ]! + eventCount - 1 > limits.INTEGER_MAX) return false
  return !has(DATA) || values[DATA]! < eventCount
}

/** One whole number as plain digits, up to `most`; it is `largest`. */
function scanWhole(bytes: Uint8Array, from: number, most: number): number {
  let value = bytes[from]! - json.DIGIT_0
  let i = from + 1
  if (!(value >= 0 && value <= 9)) return NO
  if (value > 0) {
    for (let digit: number; ; i++) {
      digit = bytes[i]! - json.DIGIT_0
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
  }
  if (value > most) return NO
  largest = value
  return i
}

/** An array of whole numbers as plain digits, of which only -1 may be below zero. */
function scanWholes(bytes: Uint8Array, from: number, least: number, most: number): number {
  if (bytes[from] !== json.OPEN_BRACKET) return NO
  let i = skipBlanks(bytes, from + 1)
  let elements = 0
  let top = least
  for (;;) {
    let value = bytes[i]! - json.DIGIT_0
    if (value > 0 && value <= 9) {
      for (let digit: number; ; ) {
        digit = bytes[++i]! - json.DIGIT_0
        if (!(digit >= 0 && digit <= 9)) break
        value = value * 10 + digit
      }
    } else if (value === 0) i++
    else if (least < 0 && bytes[i] === json.MINUS && bytes[i + 1] === json.DIGIT_0 + 1) {
      i += 2
      value = -1
    } else return NO
    if (value > top) top = value
    elements++
    if (bytes[i] !== json.COMMA) {
      i = skipBlanks(bytes, i)
      if (bytes[i] === json.CLOSE_BRACKET) break
      if (bytes[i] !== json.COMMA) return NO
    }
    if (bytes[++i]! <= SPACE) i = skipBlanks(bytes, i)
  }
  count = elements
  largest = top
  return top > most ? NO : i + 1
}

/** An array of numbers and nulls. */
function scanCoordinates(scan: Scan, from: number): number {
  const { bytes } = scan
  if (bytes[from] !== json.OPEN_BRACKET) return NO
  let i = skipBlanks(bytes, from + 1)
  let elements = 0
  for (;;) {
    if (bytes[i] === json.LETTER_N) i = json.scanValue(scan, i, 0)
    else {
      i = scanCoordinate(scan, i)
      if (i < 0) return NO
    }
    elements++
    if (bytes[i] !== json.COMMA) {
      i = skipBlanks(bytes, i)
      if (bytes[i] === json.CLOSE_BRACKET) break
      if (bytes[i] !== json.COMMA) return NO
    }
    if (bytes[++i]! <= SPACE) i = skipBlanks(bytes, i)
  }
  count = elements
  return i + 1
}

/** A number within ±COORDINATE_MAX. Short ones, which nearly all are, are read here. */
function scanCoordinate(scan: Scan, from: number): number {
  const { bytes } = scan
  let i = bytes[from] === json.MINUS ? from + 1 : from
  const start = i
  if (!isDigit(bytes[i])) return NO
  if (bytes[i] === json.DIGIT_0) i++
  else while (isDigit(bytes[i])) i++
  const digits = i - start
  if (bytes[i] === POINT) {
    if (!isDigit(bytes[++i])) return NO
    while (isDigit(bytes[i])) i++
  }
  if ((bytes[i]! | SPACE) !== LETTER_E && digits <= COORDINATE_DIGITS_MAX) return i
  i = scanNumber(scan, from)
  return Math.abs(Number(json.text(bytes, from, i))) <= limits.COORDINATE_MAX ? i : NO
}

function isDigit(byte: number | undefined): boolean {
  return byte! >= json.DIGIT_0 && byte! <= json.DIGIT_0 + 9
}

/** Types or targets: texts by the rules of an event's own member. */
function scanTexts(scan: Scan, member: number, from: number): number {
  const { bytes } = scan
  const field = member === TYPES ? TYPE_FIELD : TARGET_FIELD
  if (bytes[from] !== json.OPEN_BRACKET) return NO
  let i = skipBlanks(bytes, from + 1)
  let elements = 0
  while (bytes[i] !== json.CLOSE_BRACKET) {
    if (bytes[i] !== json.QUOTE) return NO
    i = json.nextElement(bytes, scanField(scan, facts, field, i))
    elements++
  }
  count = elements
  return i + 1
}

function scanAll(scan: Scan, from: number): number {
  const { bytes } = scan
  if (bytes[from] !== json.OPEN_BRACE) return NO
  let given = 0
  let before = -1
  let i = skipBlanks(bytes, from + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    i = scanKnownKey(scan, ALL_KEYS, i, before)
    const member = scan.known
    const bit = 1 << member
    if (member < 0 || (given & bit) !== 0) return NO
    given |= bit
    before = member
    if (member === ALL_POINTER_ID) i = scanInteger(scan, i)
    else if (member === ALL_POINTER_TYPE) i = scanPointerType(scan, i)
    else i = scanCoordinate(scan, i)
    if (i < 0) return NO
    i = json.nextMember(bytes, i)
  }
  return i + 1
}

function scanPointerType(scan: Scan, from: number): number {
  if (scan.bytes[from] !== json.QUOTE) return NO
  const end = scanString(scan, from + 1)
  // So many bytes hold no more UTF-16 units; what has more bytes is looked at by packed-shape.ts.
  return end - from - 2 <= limits.POINTER_TYPE_LENGTH_MAX ? end : NO
}

/** The entries of `data`, whose places ascend: none is given twice. */
function scanEntries(scan: Scan, from: number): number {
  const { bytes } = scan
  if (bytes[from] !== json.OPEN_BRACE) return NO
  let last = -1
  let i = skipBlanks(bytes, from + 1)
  while (bytes[i] !== json.CLOSE_BRACE) {
    const start = scanKey(scan, i)
    if (scanWhole(bytes, scan.keyStart, limits.PACKED_EVENTS_MAX) !== scan.keyEnd) return NO
    if (largest <= last || bytes[start] !== json.OPEN_BRACE) return NO
    last = largest
    i = scanData(scan, facts, start)
    if (i - start > limits.EVENT_BYTES_MAX - EVENT_FRAME_BYTES_MAX) return NO
    i = json.nextMember(bytes, i)
  }
  largest = last
  return i + 1
}
